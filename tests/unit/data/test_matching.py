from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.claims import Claims
from ssl_platform.data.matching import Matcher, match
from ssl_platform.errors import LabelError
from ssl_platform.types import Row

BASE = Path("/labels")


def rows(*ids, **fields):
    return [Row(id=name, path=f"/data/{name}", shape=(8, 8, 8), **fields) for name in ids]


def claims(*keys):
    return Claims("t.csv", lambda i: f"t.csv line {i + 2}", list(keys), BASE, labels={"label": ["x"] * len(keys)})


def matched(items, *keys, roots=("/data",), allow_unmatched=False):
    made = claims(*keys)
    unmatched = match(made, Matcher(items, roots), allow_unmatched)
    return made.row.tolist(), unmatched, made.notes[-1]


@pytest.mark.parametrize(
    ("key", "way"),
    [
        ("b/y.nii.gz", "path"),
        ("/data/b/y.nii.gz", "path"),
        ("../data/b/y.nii.gz", "path"),
        ("y.nii.gz", "file name"),
        ("elsewhere/y.nii.gz", "file name"),
        ("y", "stem"),
        ("elsewhere/y.nii", "stem"),
    ],
)
def test_relative_path_then_unique_name_then_unique_stem(key, way):
    assert matched(rows("a/x.nii.gz", "b/y.nii.gz"), key) == ([1], [], f"t.csv: 1 of 1 rows matched (1 by {way})")


def test_the_tables_folder_comes_before_the_roots():
    items = [Row("1", "/labels/x.nii", (8,)), Row("2", "/data/x.nii", (8,))]
    assert matched(items, "x.nii")[0] == [0]


def test_the_last_folders_settle_between_equal_names():
    assert matched(rows("s/a/x.nii", "s/b/x.nii"), "b/x.nii", roots=())[0] == [1]


@pytest.mark.parametrize("key", ["c/x.nii", "c/y.nii", "x"])
def test_a_manifest_means_no_item_of_equal_name(key):
    """Its own item could not be read: neither of the others, nor the only other one, takes its facts."""
    made = claims("a/x.nii", "b/x.nii", "b/y.nii", key)
    made.exact = True
    assert match(made, Matcher(rows("a/x.nii", "b/x.nii", "b/y.nii"), ("/data",))) == [key]
    assert made.row.tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize("key", ["x.nii", "x"])
def test_two_candidates_are_an_error_naming_both(key):
    with pytest.raises(LabelError) as error:
        matched(rows("a/x.nii", "b/x.nii"), key)
    assert str(error.value) == (
        f"t.csv line 2: {key!r} fits two items, 'a/x.nii' and 'b/x.nii': write its path relative to the data, or its id"
    )


def test_dicom_matches_by_series_uid_by_folder_and_by_a_file_inside():
    items = rows("study/s1", "study/s2")
    items = [row.replace(meta={"series": f"1.2.84{i}"}) for i, row in enumerate(items)]
    assert matched(items, "1.2.841", "study/s1")[0] == [1, 0]
    assert matched(items, "study/s2/0001.dcm", "s1")[0] == [1, 0]


def test_a_folder_with_two_series_asks_for_the_series():
    items = [Row(f"s#{i}", "/data/s", (8, 8, 8), meta={"series": f"1.{i}"}) for i in range(2)]
    assert matched(items, "1.1", "s#0")[0] == [1, 0]
    with pytest.raises(LabelError, match="'s' fits two items, 's#0' and 's#1'"):
        matched(items, "s")


def test_channel_files_mean_their_item():
    item = Row("case", "/data/t1.nii", (8,), parts={"channel:T1": "/data/t1.nii", "channel:T2": "/data/t2.nii"})
    assert matched([item], "t2.nii")[0] == [0]


def test_no_match_gives_one_example_of_each_side():
    with pytest.raises(LabelError) as error:
        matched(rows("imagesTr/p01.nii.gz"), "scan_01")
    assert str(error.value) == (
        "no row of t.csv fits an item: 'scan_01' there, 'imagesTr/p01.nii.gz' in the data; "
        "name the column that holds the file's path, name or stem: labels.path=COLUMN"
    )


def test_under_half_matched_is_an_error_unless_allowed():
    items = rows("a.nii", "b.nii")
    with pytest.raises(LabelError) as error:
        matched(items, "a", "c", "d")
    assert str(error.value) == (
        "only 1 of 3 rows of t.csv fit an item: 'c' does not ('a.nii' is in the data); "
        "correct them or pass labels.allow_unmatched=true"
    )
    row, unmatched, note = matched(items, "a", "c", "d", allow_unmatched=True)
    assert row == [0, -1, -1] and unmatched == ["c", "d"] and note.startswith("t.csv: 1 of 3 rows matched")


def test_half_matched_goes_on_and_lists_the_rest():
    assert matched(rows("a.nii"), "a", "c")[1] == ["c"]


def test_what_is_matched_already_stays():
    made = claims("a")
    made.row = np.array([3])
    assert match(made, Matcher(rows("z.nii"))) == [] and made.row.tolist() == [3]


def test_many_items_of_one_name_in_other_folders_match_by_path():
    items = rows(*(f"case_{i}/imaging.nii.gz" for i in range(2000)))
    assert matched(items, "case_1999/imaging.nii.gz")[0] == [1999]
