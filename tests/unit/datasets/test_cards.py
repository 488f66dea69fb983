import json
from pathlib import Path

import pytest

from ssl_platform.errors import DataError
from ssl_platform.plugins import resolve
from ssl_platform_datasets.adapters.decathlon import rows
from ssl_platform_datasets.cards import cards, parse

GOOD = (Path(__file__).parents[3] / "datasets/src/ssl_platform_datasets/cards/msd-spleen.yaml").read_text()


def test_every_card_parses_and_its_adapter_exists() -> None:
    assert len(cards()) >= 10
    for card in cards():
        assert card.labelled <= card.items and card.citation and card.licence
        assert callable(resolve(card.adapter))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("licence:", "license:"), "x.yaml: unknown key 'license' (did you mean 'licence'?)"),
        (GOOD.replace("metric: dice\n", ""), "x.yaml: key 'metric' is missing"),
        (GOOD.replace("items: 61", "items: many"), "x.yaml: items must be a whole number, got 'many'"),
        ("- a\n- b\n", "x.yaml: a dataset card is a mapping of keys to values"),
    ],
)
def test_a_wrong_card_is_named(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(text, "x.yaml")
    assert str(caught.value) == message


def made(folder: Path) -> Path:
    for name in (
        "imagesTr/a.nii.gz",
        "imagesTr/b.nii.gz",
        "labelsTr/a.nii.gz",
        "labelsTr/b.nii.gz",
        "imagesTs/c.nii.gz",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    facts = {
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "ab"],
        "test": ["./imagesTs/c.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(facts))
    return folder


def test_decathlon_rows_pair_images_with_masks_and_leave_test_unlabelled(tmp_path: Path) -> None:
    assert list(rows(made(tmp_path))) == [
        {"path": "imagesTr/a.nii.gz", "mask": "labelsTr/a.nii.gz", "id": "a"},
        {"path": "imagesTr/b.nii.gz", "mask": "labelsTr/b.nii.gz", "id": "b"},
        {"path": "imagesTs/c.nii.gz", "mask": "", "id": "c"},
    ]


def test_an_incomplete_download_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "labelsTr/b.nii.gz").unlink()
    with pytest.raises(DataError, match=r"labelsTr/b.nii.gz: named by dataset.json but missing"):
        list(rows(folder))
    with pytest.raises(DataError, match="give the folder of one task"):
        list(rows(tmp_path / "imagesTr"))
