import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.claims import claims_of_table
from ssl_platform.data.table import read_table
from ssl_platform.errors import DataError


def claims(tmp_path, text, needs_facts=True, **config):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return claims_of_table(read_table(path), LabelsConfig(**config), needs_facts)


def test_every_declared_column_finds_its_place(tmp_path):
    header = "path,id,label,mask,group,split,fold,window,pair,time,age"
    found = claims(tmp_path, header + "\na.nii,1,x,m.nii,p1,train,0,0:1,q,2024-01-01,42\n")
    assert found.key == ["a.nii"] and found.labels == {"label": ["x"]} and found.meta == {"age": ["42"]}
    assert list(found.columns) == ["mask", "group", "split", "fold", "window", "pair", "time", "id"]


def test_other_names_are_given_by_keys(tmp_path):
    found = claims(
        tmp_path,
        "filename,edema,mass,patient_id,part,seg\na,0,1,p1,test,m.nii\n",
        path="filename",
        label=["edema", "mass"],
        group="patient_id",
        split="part",
        mask="seg",
    )
    assert found.key == ["a"] and found.labels == {"edema": ["0"], "mass": ["1"]} and not found.meta
    assert found.columns == {"mask": ["m.nii"], "group": ["p1"], "split": ["test"]}


def test_any_further_column_is_usable_as_target(tmp_path):
    assert claims(tmp_path, "path,age\na,42\n", label="age").labels == {"age": ["42"]}


def test_channel_columns_are_kept_by_name(tmp_path):
    found = claims(tmp_path, "path:T1,path:T2,label\n,b.nii,x\nc.nii,d.nii,y\n")
    assert found.channels == {"T1": ["", "c.nii"], "T2": ["b.nii", "d.nii"]}
    assert found.key == ["b.nii", "c.nii"]


def test_an_id_column_alone_names_the_items(tmp_path):
    assert claims(tmp_path, "id,label\na,x\n").key == ["a"]


def test_backslash_paths_are_read_and_said(tmp_path):
    found = claims(tmp_path, "path,label\nimages\\a.nii,x\n")
    assert found.key == ["images/a.nii"] and found.notes == ["t.csv: backslashes in paths read as slashes"]


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        (
            "Path,label\na,x\n",
            {},
            "t.csv has no column 'path' or 'id': its columns are Path, label (did you mean 'Path'?); "
            "name it: labels.path=COLUMN",
        ),
        (
            "path,lable\na,x\n",
            {},
            "t.csv has no column 'label', 'mask', 'group' or 'split': its columns are path, lable "
            "(did you mean 'lable'?); name it: labels.label=COLUMN",
        ),
        (
            "path,label\na,x\n",
            {"path": "file"},
            "t.csv has no column 'file' (labels.path): its columns are path, label",
        ),
        (
            "path,edema\na,x\n",
            {"label": ["edema", "xyz"]},
            "t.csv has no column 'xyz' (labels.label): its columns are path, edema",
        ),
        (
            "path,label,patient\na,x,p\n",
            {"group": "patients"},
            "t.csv has no column 'patients' (labels.group): its columns are path, label, patient "
            "(did you mean 'patient'?)",
        ),
        (
            "path,label\na,x\n",
            {"split": "folds/no.csv"},
            "labels.split=folds/no.csv: no such file (give a splits.csv, or the name of a column)",
        ),
    ],
)
def test_a_missing_column_is_one_line_with_those_found_and_the_nearest(tmp_path, text, config, message):
    with pytest.raises(DataError) as error:
        claims(tmp_path, text, **config)
    assert str(error.value) == message


def test_a_manifest_needs_no_facts(tmp_path):
    assert claims(tmp_path, "path\na\n", needs_facts=False).key == ["a"]
