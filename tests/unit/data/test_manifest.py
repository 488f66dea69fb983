import numpy as np
import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data import splits
from ssl_platform.data.labels import resolve
from ssl_platform.data.manifest import read_manifest, write_manifest
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row


def written(tmp_path, text, files=(), name="m.csv"):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    (tmp_path / name).write_text(text)
    return tmp_path / name


def scanned(manifest):
    """Rows as a scan makes them."""
    return [
        Row(i.id, i.path, (8, 8, 8), channels=tuple(i.channels) or ("ct",), fingerprint=i.path, parts=i.parts)
        for i in manifest.items
    ]


def test_a_manifest_is_data_and_facts(tmp_path):
    path = written(tmp_path, "path,label\nimg/a.nii,x\nimg/b.nii,y\n", ["img/a.nii", "img/b.nii"])
    manifest = read_manifest(path, LabelsConfig())
    assert [(i.id, i.path) for i in manifest.items] == [
        ("img/a.nii", str(tmp_path / "img/a.nii")),
        ("img/b.nii", str(tmp_path / "img/b.nii")),
    ]
    assert resolve(scanned(manifest), LabelsConfig(), manifest=manifest.claims).label == ("x", "y")
    assert manifest.notes == ["manifest: 2 items in 2 rows of m.csv"]


def test_paths_are_relative_to_the_table_then_to_the_roots(tmp_path):
    path = written(tmp_path, "path\na.nii\nb.nii\n", ["a.nii", "root/a.nii", "root/b.nii"])
    manifest = read_manifest(path, LabelsConfig(), roots=[str(tmp_path / "root")])
    assert [i.path for i in manifest.items] == [str(tmp_path / "a.nii"), str(tmp_path / "root/b.nii")]


def test_one_row_a_window_is_still_one_item(tmp_path):
    path = written(tmp_path, "path,label,window\na,x,0:4\na,y,4:8\n", ["a"])
    assert len(read_manifest(path, LabelsConfig()).items) == 1


def test_channels_of_one_item_and_an_absent_one(tmp_path):
    path = written(tmp_path, "path:T1,path:T2,id,label\na1,a2,case a,x\n,b2,case b,y\n", ["a1", "a2", "b2"])
    manifest = read_manifest(path, LabelsConfig())
    assert [i.id for i in manifest.items] == ["case a", "case b"]
    assert manifest.items[1].channels == {"T1": None, "T2": str(tmp_path / "b2")}
    assert resolve(scanned(manifest), LabelsConfig(), manifest=manifest.claims).label == ("x", "y")


def test_declared_columns_go_with_the_item(tmp_path):
    path = written(tmp_path, "path,spacing,age\na,1x1x3,40\nb,,41\n", ["a", "b"])
    manifest = read_manifest(path, LabelsConfig(), declared=["spacing"])
    assert [dict(i.columns) for i in manifest.items] == [{"spacing": "1x1x3"}, {}]


def test_masks_of_a_manifest_are_known(tmp_path):
    path = written(tmp_path, "path,mask\na,m\nb,\n", ["a", "b", "m"])
    assert read_manifest(path, LabelsConfig()).masks == [str(tmp_path / "m")]


def test_files_that_are_not_there_are_items_for_quarantine_and_said(tmp_path):
    manifest = read_manifest(written(tmp_path, "path\na\nzz\n", ["a"]), LabelsConfig())
    assert [i.id for i in manifest.items] == ["a", "zz"]
    assert manifest.notes[1] == "manifest: 1 row of files that do not exist, such as 'zz'"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("path\nzz\n", DataError, "no file of m.csv exists: 'zz' is not in {folder}"),
        ("path,label\n,x\na,y\n", DataError, "m.csv line 2 names no file: fill in the path, or remove the row"),
        ("path,spacing\na,1\na,2\n", LabelError, "m.csv line 3: 'a' has other spacing in a row above"),
        (
            "path,mask\na,zz\n",
            DataError,
            "m.csv line 2: mask 'zz' does not exist (looked in {folder}): correct the path",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_line(tmp_path, text, kind, message):
    with pytest.raises(kind) as error:
        read_manifest(written(tmp_path, text, ["a"]), LabelsConfig(), declared=["spacing"])
    assert str(error.value) == message.format(folder=tmp_path)


FULL = """path,id,label,group,split,fold,window,pair,time,age
img/a,A,x,p1,train,0,"0:4,0:8,0:8",q,2024-05-01T10:00:00Z,40
img/a,A,y,p1,train,0,"4:8,0:8,0:8",q,2024-05-01T10:00:00Z,40
img/b,B,y,p2,val,1,,,,
img/c,C,,p3,,,,,,
"""


@pytest.mark.parametrize(
    ("text", "config"),
    [
        (FULL, {}),
        ("path,label\nimg/a,a|b\nimg/b,b\nimg/c,|\n", {}),
        ("path,e,m\nimg/a,1,0\nimg/b,1,1\nimg/c,0,0\n", {"label": ["e", "m"]}),
        ("path,label\nimg/a,0.5\nimg/b,\nimg/c,2\n", {}),
        ("path,mask\nimg/a,img/m\nimg/b,\nimg/c,\n", {}),
        ("path:T1,path:T2,id,label\nimg/a,img/b,A,x\n,img/c,B,y\n", {}),
    ],
)
def test_a_written_manifest_reads_back_as_the_same_facts(tmp_path, text, config):
    path = written(tmp_path, text, ["img/a", "img/b", "img/c", "img/m"])
    manifest = read_manifest(path, LabelsConfig(**config))
    before = resolve(scanned(manifest), LabelsConfig(**config), manifest=manifest.claims)
    out = write_manifest(scanned(manifest), before, tmp_path / "sub" / "out.csv")
    again = read_manifest(out, LabelsConfig(), roots=[str(tmp_path)])
    after = resolve(scanned(again), LabelsConfig(), manifest=again.claims)
    for name in ("row", "target", "fold", "time"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    for name in ("mask", "group", "split", "window", "pair"):
        if name != "group" or before.group_rule != "file":
            assert getattr(after, name) == getattr(before, name)
    assert after.layout.classes == before.layout.classes and after.id == before.id


def test_a_written_manifest_holds_the_drawn_split_and_relative_paths(tmp_path):
    files = [f"i{k:03d}" for k in range(120)]
    path = written(tmp_path, "path,label\n" + "".join(f"{f},{'ab'[k % 2]}\n" for k, f in enumerate(files)), files)
    manifest = read_manifest(path, LabelsConfig())
    rows = scanned(manifest)
    facts = resolve(rows, LabelsConfig(), manifest=manifest.claims)
    drawn = splits.resolve(rows, facts, LabelsConfig())
    out = write_manifest(rows, facts, tmp_path / "out.csv", drawn.codes)
    assert out.read_text().splitlines()[:2] == [
        "path,id,label,split",
        f"i000,i000,a,{['', 'train', 'val', 'test'][drawn.codes[0, 0]]}",
    ]
    again = read_manifest(out, LabelsConfig())
    after = resolve(scanned(again), LabelsConfig(), manifest=again.claims)
    assert splits.resolve(scanned(again), after, LabelsConfig()).id == drawn.id
