import json

import pytest

from ssl_platform.data.masks import aside_lines, claims_of_mask_folder, set_aside
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row


def aside(*names, **options):
    kept, masks = set_aside([f"/d/{name}" for name in names], roots=["/d"], **options)
    return [path.removeprefix("/d/") for path in kept], [path.removeprefix("/d/") for path in masks]


@pytest.mark.parametrize("folder", ["labels", "labelsTr", "masks", "Masks_2", "seg", "segmentations", "Annotations"])
def test_a_mask_folder_beside_an_image_folder_is_set_aside(folder):
    assert aside("images/a.nii.gz", f"{folder}/a.nii.gz") == (["images/a.nii.gz"], [f"{folder}/a.nii.gz"])


def test_a_mask_folder_beside_images_is_set_aside():
    assert aside("p1/a.nii", "p1/masks/a.nii", "p2/a.nii") == (["p1/a.nii", "p2/a.nii"], ["p1/masks/a.nii"])


def test_a_mask_folder_with_nothing_beside_it_holds_images():
    assert aside("labels/a.nii", "labels/b.nii")[1] == []


def test_a_root_is_what_the_user_asked_for_whatever_its_name():
    kept, masks = set_aside(["/d/labels/a.nii", "/d/images/a.nii"], roots=["/d/labels", "/d/images"])
    assert len(kept) == 2 and masks == {}


def test_without_roots_the_common_folder_is_the_root():
    assert set_aside(["/d/images/a.nii", "/d/labels/a.nii"])[0] == ["/d/images/a.nii"]


@pytest.mark.parametrize("ending", ["_mask", "_seg", "_label", "_gt"])
def test_a_file_named_as_the_mask_of_another_is_set_aside(ending):
    assert aside("a.nii.gz", f"a{ending}.nii.gz", "b.nii.gz")[1] == [f"a{ending}.nii.gz"]
    assert aside("c_flair.nii.gz", "c_t1.nii.gz", f"c{ending}.nii.gz")[1] == [f"c{ending}.nii.gz"]


def test_a_file_called_segmentation_beside_an_image_is_set_aside():
    assert aside("c0/imaging.nii.gz", "c0/segmentation.nii.gz")[1] == ["c0/segmentation.nii.gz"]


@pytest.mark.parametrize("names", [("x_seg.nii", "y.nii"), ("segment_01.wav", "intro.wav"), ("masked.nii", "a.nii")])
def test_names_that_only_look_alike_stay(names):
    assert aside(*names)[1] == []


def test_include_overrides():
    names = ("images/a.nii", "labels/a.nii", "labels/b.nii")
    assert aside(*names, include="labels/a*")[1] == ["labels/b.nii"]
    assert aside(*names, include="*.nii")[1] == []


def test_named_masks_are_set_aside_wherever_they_lie():
    names = ("a.nii", "truth/a.nii", "b_truth.nii")
    assert aside(*names, masks=["/d/truth", "/d/b_truth.nii"])[1] == ["truth/a.nii", "b_truth.nii"]


def test_what_is_set_aside_is_said():
    _, masks = set_aside(["/d/images/a.nii", "/d/labels/a.nii", "/d/images/a_seg.nii"], roots=["/d"])
    assert aside_lines(masks) == [
        "masks set aside, not used as images: 1 file in /d/labels, such as a.nii (data.include=GLOB overrides)",
        "masks set aside, not used as images: 1 file named like masks, such as a_seg.nii (data.include=GLOB overrides)",
    ]


def rows(*ids):
    return [Row(id=name, path=f"/d/{name}", shape=(8, 8, 8)) for name in ids]


def folder(tmp_path, *names, dataset=None):
    place = tmp_path / "labelsTr"
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x")
    if dataset is not None:
        (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    return place


@pytest.mark.parametrize("name", ["a.nii.gz", "a_mask.nii.gz", "a_seg.nii", "a_label.nii.gz", "a_gt.nrrd", "a.nrrd"])
def test_a_mask_has_its_images_stem_with_or_without_an_ending(tmp_path, name):
    place = folder(tmp_path, name)
    found = claims_of_mask_folder(place, rows("imagesTr/b.nii.gz", "imagesTr/a.nii.gz"))
    assert found.row.tolist() == [1] and found.columns["mask"] == [str(place / name)]
    assert found.notes == [f"masks: 1 item with a mask in {place}, 1 without"]


def test_the_same_relative_path_comes_before_the_stem(tmp_path):
    place = folder(tmp_path, "p1/scan.nii", "p2/scan.nii")
    assert claims_of_mask_folder(place, rows("p2/scan.nii", "p1/scan.nii")).row.tolist() == [1, 0]


def test_the_image_folder_may_be_part_of_the_ids(tmp_path):
    place = folder(tmp_path, "p1/scan.nii", "p2/scan.nii")
    assert claims_of_mask_folder(place, rows("images/p2/scan.nii", "images/p1/scan.nii")).row.tolist() == [1, 0]


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "Anterior", "2": "Posterior"},
        {"background": 0, "Posterior": 2, "Anterior": 1, "any": [1, 2]},
    ],
)
def test_dataset_json_of_msd_and_nnunet_gives_names(tmp_path, labels):
    place = folder(tmp_path, "a.nii.gz", dataset={"labels": labels})
    found = claims_of_mask_folder(place, rows("a.nii.gz"))
    assert found.classes == {0: "background", 1: "Anterior", 2: "Posterior"}
    assert found.notes[1] == (f"masks: classes background, Anterior, Posterior named by {tmp_path / 'dataset.json'}")


def test_a_damaged_dataset_json_is_named(tmp_path):
    place = folder(tmp_path, "a.nii.gz")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(
        DataError, match=r"dataset.json is not a dataset.json of MSD or nnU-Net \(.*\): correct or remove"
    ):
        claims_of_mask_folder(place, rows("a.nii.gz"))


@pytest.mark.parametrize(
    ("names", "ids", "message"),
    [
        (
            ("c.nii",),
            ("a.nii",),
            "no mask of {place} fits an item: 'c.nii' there, 'a.nii' in the data; a mask has its image's relative path "
            "or stem (and may end in _mask, _seg, _label or _gt)",
        ),
        (
            ("a.nii", "c.nii", "d.nii"),
            ("a.nii",),
            "only 1 of 3 masks of {place} fit an item: 'c.nii' does not ('a.nii' is in the data); correct them or pass "
            "labels.allow_unmatched=true",
        ),
        (
            ("a.nii",),
            ("p/x/a.nii", "q/x/a.nii"),
            "mask 'a.nii' of {place} fits two items, 'p/x/a.nii' and 'q/x/a.nii': keep the images' folders",
        ),
        (("a.nii", "a_seg.nii"), ("a.nii",), "two masks of {place} fit 'a.nii': 'a.nii' and 'a_seg.nii': remove one"),
    ],
)
def test_masks_that_do_not_fit_are_one_line_with_names(tmp_path, names, ids, message):
    place = folder(tmp_path, *names)
    with pytest.raises(LabelError) as error:
        claims_of_mask_folder(place, rows(*ids))
    assert str(error.value) == message.format(place=place)


def test_folders_of_mask_pictures_are_masks_of_videos(tmp_path):
    place = folder(tmp_path, "480p/bear/00000.png", "480p/bear/00001.png", "480p/dog/00000.png", "480p/readme.txt")
    found = claims_of_mask_folder(place / "480p", rows("bear.mp4", "dog"), (".mp4",))
    assert found.columns["mask"] == [f"{place}/480p/bear", f"{place}/480p/dog"] and found.row.tolist() == [0, 1]


def test_a_folder_without_masks_is_an_error(tmp_path):
    place = folder(tmp_path, "readme.txt", ".hidden.nii")
    with pytest.raises(DataError) as error:
        claims_of_mask_folder(place, rows("a.nii"))
    assert str(error.value) == f"--labels {place}: the folder holds no mask file (a table is given by its file name)"


@pytest.mark.real
def test_the_real_hippocampus_set_has_191_masks_for_192_images(real_data):
    place = real_data / "medical3d" / "hippocampus"
    names = sorted(path.name for path in (place / "images").glob("*.nii.gz"))
    paths = [str(path) for path in sorted(place.rglob("*.nii.gz"))]
    kept, masks = set_aside(paths, roots=[place])
    assert len(kept) == 192 and len(masks) == 191
    items = [Row(id=f"images/{name}", path=str(place / "images" / name), shape=(1, 1, 1)) for name in names]
    found = claims_of_mask_folder(place / "labels", items, (".nii.gz",))
    assert len(set(found.row.tolist())) == 191 and min(found.row) >= 0
