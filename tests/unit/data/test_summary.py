from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.labels import resolve
from ssl_platform.data.splits import resolve as split
from ssl_platform.data.summary import label_counts, summarise
from ssl_platform.types import Row


def data(tmp_path):
    rows = [Row(f"i{k}.nii", f"/d/i{k}.nii", (8, 8, 8)) for k in range(9)]
    parts = ["train", "val", "test"]
    lines = [f"i{k},{'ab'[k % 2]},p{k // 2},{parts[k // 2 % 3] if k < 6 else ''}\n" for k in range(8)]
    (tmp_path / "t.csv").write_text("path,label,group,split\n" + "".join(lines) + "zz,a,p9,\n")
    facts = resolve(rows, LabelsConfig(source=str(tmp_path / "t.csv")))
    return rows, facts, split(rows, facts, LabelsConfig())


def test_scan_prints_counts_per_class_split_and_group_unmatched_names_and_masks_set_aside(tmp_path):
    rows, facts, splits = data(tmp_path)
    lines = summarise(rows, facts, splits, {"/d/labels/a.nii": "in /d/labels"})
    assert lines[-5:] == [
        "class        all    train      val     test   groups",
        "a              4        1        1        1        4",
        "b              4        1        1        1        4",
        "1 label without an item: zz",
        "1 item without a row: i8.nii",
    ]
    assert "9 items: 8 labelled, 1 unlabelled, 5 groups of 1 to 2 items" in lines
    assert (
        "masks set aside, not used as images: 1 file in /d/labels, such as a.nii (data.include=GLOB overrides)" in lines
    )
    assert (
        "groups: 4 groups by column group" in lines
        and f"split: columns: train 2, val 2, test 2 (id {splits.id})" in lines
    )


def test_folds_have_columns_of_their_own(tmp_path):
    rows = [Row(f"i{k}", f"/d/i{k}", (8,)) for k in range(20)]
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"i{k},{'ab'[k % 2]}\n" for k in range(20)))
    facts = resolve(rows, LabelsConfig(source=str(tmp_path / "t.csv")))
    lines = summarise(rows, facts, split(rows, facts, LabelsConfig()))
    assert lines[-3:] == [
        "class        all   fold 0   fold 1   fold 2   fold 3   fold 4   groups",
        "a             10        2        2        2        2        2       10",
        "b             10        2        2        2        2        2       10",
    ]


def test_without_labels_there_is_no_table():
    rows = [Row("a", "/d/a", (8,))]
    assert summarise(rows, resolve(rows, LabelsConfig())) == [
        "groups: no group known: every file is its own group (1 group)",
        "1 item: 0 labelled, 1 unlabelled, 1 group of 1 to 1 item",
    ]


def test_labels_are_counted_as_written(tmp_path):
    assert label_counts(data(tmp_path)[1]) == {"a": 4, "b": 4}
