import json

import pytest

from ssl_platform.data.channels import Item, combine_channels, join_channels
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row


def items(*names, folder="/d/imagesTr"):
    return [Item(f"imagesTr/{name}", f"{folder}/{name}") for name in names]


def test_numbered_files_of_a_case_are_channels_of_one_item():
    joined, notes = join_channels(items("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"))
    assert [item.id for item in joined] == ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz"]
    assert joined[0].channels == {"0000": "/d/imagesTr/a_0000.nii.gz", "0001": "/d/imagesTr/a_0001.nii.gz"}
    assert notes == ["/d/imagesTr: files _0000, _0001 joined as channels 0000, 0001 of 2 items"]


@pytest.mark.parametrize("key", ["channel_names", "modality"])
def test_dataset_json_names_the_channels_and_a_missing_one_is_absent(tmp_path, key):
    folder = tmp_path / "imagesTr"
    folder.mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps({key: {"0": "CT", "1": "PET"}}))
    joined, _ = join_channels(items("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", folder=str(folder)))
    assert list(joined[0].channels) == ["CT", "PET"]
    assert joined[1].channels == {"CT": f"{folder}/b_0000.nii.gz", "PET": None}
    assert joined[1].parts == {"channel:CT": f"{folder}/b_0000.nii.gz"}


@pytest.mark.parametrize(
    "names",
    [
        [f"IMG_{i:04d}.png" for i in range(40)],
        ["a_0001.nii", "b_0001.nii"],
        ["a_0000.nii", "a_0001.nii", "b_0000.nii"],
        ["scan_2019.nii", "scan_2020.nii"],
        ["hippocampus_001.nii.gz", "hippocampus_003.nii.gz"],
    ],
)
def test_files_that_merely_carry_numbers_stay_apart(names):
    joined, notes = join_channels(items(*names))
    assert len(joined) == len(names) and notes == []


def row(path, shape=(8, 8, 8), spacing=(1.0, 1.0, 1.0), channels=("mr",)):
    return Row(path, path, shape, spacing, channels, bytes=10, fingerprint=path)


def test_one_row_holds_all_channels():
    item = Item("a.nii", "/a_0000.nii", {"T1": "/a_0000.nii", "T2": None, "T3": "/a_0002.nii"})
    made = combine_channels(item, {"T1": row("/a_0000.nii"), "T3": row("/a_0002.nii")})
    assert made.id == "a.nii" and made.channels == ("T1", "T2", "T3") and made.bytes == 20
    assert made.parts == {"channel:T1": "/a_0000.nii", "channel:T3": "/a_0002.nii"}
    other = combine_channels(item, {"T1": row("/a_0000.nii"), "T3": row("/changed")})
    assert other.fingerprint != made.fingerprint


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (row("/b", shape=(8, 8, 9)), "channel T2 has shape (8, 8, 9) and spacing"),
        (row("/b", spacing=(1.0, 1.0, 2.0)), "channel T2 has shape (8, 8, 8) and spacing (1.0, 1.0, 2.0)"),
        (row("/b", channels=("r", "g")), "channel T2 has 2 channels in /b"),
    ],
)
def test_channels_on_unlike_grids_are_quarantined(odd, why):
    with pytest.raises(Unreadable) as error:
        combine_channels(Item("a", "/a", {"T1": "/a", "T2": "/b"}), {"T1": row("/a"), "T2": odd})
    assert error.value.why.startswith(why)
