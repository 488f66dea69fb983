import numpy as np
import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.labels import resolve
from ssl_platform.data.manifest import read_manifest
from ssl_platform.domain import Domain
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Layout, Row


def rows(*ids, **fields):
    return [Row(id=name, path=f"/d/{name}", shape=(8, 8, 8), **fields) for name in ids]


def table(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def facts(tmp_path, text, items, task=None, **config):
    return resolve(items, LabelsConfig(source=table(tmp_path, text), **config), roots=["/d"], task=task)


def test_labels_are_never_guessed():
    found = resolve(rows("cats/a.png", "dogs/b.png", label="sick"), LabelsConfig())
    assert found.layout is None and not found.labelled.any() and found.label == ("", "")
    assert found.notes == ("groups: no group known: every file is its own group (2 groups)",)


def test_a_table_is_joined_in_catalog_order(tmp_path):
    found = facts(tmp_path, "path,label\nb.nii,y\na.nii,x\n", rows("a.nii", "b.nii", "c.nii"))
    assert found.row.tolist() == [0, 1, 2] and found.label == ("x", "y", "")
    assert found.target.tolist() == [0, 1, -1] and found.labelled.tolist() == [True, True, False]
    assert found.notes == (
        "t.csv: 2 of 2 rows matched (2 by path)",
        "task: classification (text labels), 2 classes: x, y; positive: y",
        "groups: no group known: every file is its own group (3 groups)",
        "labels: 0 rows without an item, 1 item without a row",
    )


def test_all_columns_arrive(tmp_path):
    header = "path,id,label,group,split,fold,pair,time,age,site\n"
    text = header + "a.nii,A,x,p1,train,0,q,1970-01-01T00:01:00Z,40,n\nb.nii,B,y,p2,test,1,q,,41,s\n"
    found = facts(tmp_path, text, rows("a.nii", "b.nii"))
    assert found.id == ("A", "B") and found.group == ("p1", "p2") and found.split == ("train", "test")
    assert found.fold.tolist() == [0, 1] and found.pair == ("q", "q")
    np.testing.assert_array_equal(found.time, [60, np.nan])
    assert found.meta == {"age": ("40", "41"), "site": ("n", "s")}


def test_one_row_a_window(tmp_path):
    text = 'path,label,window\na.nii,x,"0:4,0:8,0:8"\na.nii,y,"4:8,0:8,0:8"\nb.nii,x,\n'
    found = facts(tmp_path, text, rows("a.nii", "b.nii"))
    assert found.row.tolist() == [0, 0, 1] and found.label == ("x", "y", "x")
    assert found.window == (((0, 4), (0, 8), (0, 8)), ((4, 8), (0, 8), (0, 8)), None)
    assert found.group == ("a.nii", "a.nii", "b.nii")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,label\na.nii,x\nb.nii,y\na,z\n",
            "'a.nii' has two labels, 'x' (t.csv line 2) and 'z' (t.csv line 4), and no window: "
            "keep one, or give each its window",
        ),
        (
            'path,label,window\na,x,"0:4,0:4,0:4"\na,y,"0:4,0:4,0:4"\n',
            "'a.nii' has two labels, 'x' (t.csv line 2) and 'y' (t.csv line 3), and one window 0:4,0:4,0:4: keep one",
        ),
        (
            "path,label,group\na,x,p\nb,y,q\na,x,r\n",
            "'a.nii' has two groups, 'p' (t.csv line 2) and 'r' (t.csv line 4), and no window: "
            "keep one, or give each its window",
        ),
        ("path,split\na,tran\n", "t.csv line 2: split 'tran' is not train, val or test (did you mean 'train'?)"),
        ("path,fold\na,first\n", "t.csv line 2: fold 'first' is not a whole number from 0 up"),
        ("path,label,window\na,x,0:4\n", "t.csv line 2: window '0:4' has 1 axis and 'a.nii' has 3"),
        ("path,label\na,x\nb,x\n", "t.csv has one class only ('x'): a task needs at least two"),
    ],
)
def test_contradictions_are_one_line_with_both_places(tmp_path, text, message):
    with pytest.raises(DataError) as error:
        facts(tmp_path, text, rows("a.nii", "b.nii"))
    assert str(error.value) == message


def test_windows_in_seconds_where_an_axis_is_time(tmp_path):
    class Timed(Domain):
        layout = Layout("C F T", unit="s")

    text = "path,label,window\na,x,0:1.5\na,y,1.5:2s\nb,x,\n"
    config = LabelsConfig(source=table(tmp_path, text))
    found = resolve(rows("a", "b", group="g"), config, roots=["/d"], domain=Timed())
    assert found.window == (((0, 1.5),), ((1.5, 2),), None) and found.label == ("x", "y", "x")


def test_the_same_label_twice_is_fine(tmp_path):
    assert facts(tmp_path, "path,label\na,x\nb,y\na.nii,x\n", rows("a.nii", "b.nii")).label == ("x", "y")


def test_words_for_splits_are_read_and_said(tmp_path):
    found = facts(tmp_path, "path,split\na,Training\nb,validation\n", rows("a", "b"))
    assert found.split == ("train", "val")
    assert "labels: split 'Training' read as 'train'" in found.notes
    assert "labels: split 'validation' read as 'val'" in found.notes


def test_masks_lie_beside_the_table_or_under_the_roots(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "near.nii").write_text("x")
    (tmp_path / "data" / "far.nii").write_text("x")
    source = table(tmp_path, "path,mask\na,near.nii\nb,far.nii\nc,\n")
    found = resolve(rows("a", "b", "c"), LabelsConfig(source=source), roots=[str(tmp_path / "data")])
    assert found.mask == (str(tmp_path / "near.nii"), str(tmp_path / "data" / "far.nii"), "")
    assert found.layout.kind == "segmentation" and found.labelled.tolist() == [True, True, False]


def test_a_mask_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(DataError) as error:
        facts(tmp_path, "path,mask\na,no.nii\n", rows("a"))
    assert str(error.value) == (
        f"t.csv line 2: mask 'no.nii' does not exist (looked in {tmp_path} and /d): correct the path"
    )


def test_a_mask_folder_is_joined(tmp_path):
    folder = tmp_path / "labelsTr"
    folder.mkdir()
    (folder / "a.nii").write_text("x")
    found = resolve(rows("a.nii", "b.nii"), LabelsConfig(source=str(folder)))
    assert found.mask == (str(folder / "a.nii"), "") and found.unmatched_items == ("b.nii",)


def test_labels_join_a_manifest(tmp_path):
    (tmp_path / "a.nii").write_text("x")
    (tmp_path / "b.nii").write_text("x")
    manifest = read_manifest(table(tmp_path, "path,group\na.nii,p\nb.nii,p\n", "m.csv"), LabelsConfig())
    items = [Row(item.id, item.path, (8, 8, 8)) for item in manifest.items]
    found = resolve(items, LabelsConfig(source=table(tmp_path, "path,label\na,x\nb,y\n")), manifest=manifest.claims)
    assert found.group == ("p", "p") and found.label == ("x", "y")


def test_a_manifest_and_labels_that_differ_are_one_line(tmp_path):
    (tmp_path / "a.nii").write_text("x")
    manifest = read_manifest(table(tmp_path, "path,label\na.nii,x\n", "m.csv"), LabelsConfig())
    items = [Row(item.id, item.path, (8, 8, 8)) for item in manifest.items]
    with pytest.raises(LabelError, match=r"two labels, 'x' \(m.csv line 2\) and 'y' \(t.csv line 2\)"):
        resolve(items, LabelsConfig(source=table(tmp_path, "path,label\na,y\n")), manifest=manifest.claims)


def test_unmatched_names_of_both_sides_are_listed_in_a_file(tmp_path):
    found = facts(tmp_path, "path,label\na,x\nb,y\nzz,x\n", rows("a.nii", "b.nii", "c.nii"))
    assert found.unmatched_labels == ("zz",) and found.unmatched_items == ("c.nii",)
    path = found.write_unmatched(tmp_path / "labels_unmatched.csv")
    assert path.read_text() == "side,name\nlabels,zz\ndata,c.nii\n"


def test_another_column_is_the_target(tmp_path):
    found = facts(tmp_path, "path,label,age\na,x,40.5\nb,y,41.5\n", rows("a", "b"), label="age")
    assert found.layout.kind == "regression" and found.target.tolist() == [40.5, 41.5] and "label" in found.meta


def test_several_columns_are_one_multi_label_target(tmp_path):
    text = "path,edema,mass\na,1,0\nb,1,1\nc,0,0\nd,,\n"
    found = facts(tmp_path, text, rows(*"abcd"), label=["edema", "mass"])
    assert found.layout.classes == ("edema", "mass") and found.label == ("edema|", "edema|mass|", "|", "")
    assert found.labelled.tolist() == [True, True, True, False]


def test_the_positive_class_and_the_task_are_taken_over(tmp_path):
    text = "path,label\na,1\nb,2\nc,3\nd,1\n"
    assert facts(tmp_path, text, rows(*"abcd"), task="classification", positive="2").layout.positive == "2"
    assert facts(tmp_path, text, rows(*"abcd"), task="regression").target.tolist() == [1, 2, 3, 1]


def test_declared_columns_of_the_domain_overrule_the_header(tmp_path):
    class Scans:
        suffixes = ()
        columns = {"spacing": str, "modality": str}

    found = facts(tmp_path, "path,label,spacing,age\na,x,1 1 3,4\nb,y,,5\n", rows("a", "b"))
    assert list(found.overrides(Scans())) == [(0, {"spacing": "1 1 3"})]


def test_ten_thousand_rows_are_joined_at_once(tmp_path):
    # Linear; 100,000 rows take about 1.6 s (docs/data.md).
    import time

    items = rows(*(f"s{i % 7}/scan_{i:05d}.nii.gz" for i in range(10_000)))
    lines = (f"scan_{i:05d},{'xyz'[i % 3]},p{i // 4}" for i in range(10_000))
    start = time.perf_counter()
    found = facts(tmp_path, "path,label,group\n" + "\n".join(lines), items)
    assert found.labelled.all() and time.perf_counter() - start < 5
