import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from ssl_platform.errors import DataError
from ssl_platform.plugins import resolve
from ssl_platform_datasets.adapters.decathlon import rows
from ssl_platform_datasets.cards import cards, parse

GOOD = (Path(__file__).parents[3] / "datasets/src/ssl_platform_datasets/cards/msd-spleen.yaml").read_text()
ADAPTERLESS = "".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith("adapter:"))


def test_every_card_is_whole_and_its_adapter_exists() -> None:
    known = cards()
    domains = Counter(card.domain for card in known)
    assert set(domains) == {"audio", "medical3d", "multispectral", "pointcloud", "video", "wholeslide"}
    assert len({card.name.partition("-")[0] if card.name.startswith("msd-") else card.name for card in known}) >= 30
    for card in known:
        assert card.citation and card.licence and card.files and card.url.startswith("http"), card.name
        assert card.labelled <= card.items and bool(card.adapter) != bool(card.later), card.name
        assert not card.sizes or sum(card.sizes.values()) <= card.items, card.name
        if card.adapter:
            assert callable(resolve(card.adapter))


def test_classes_of_other_libraries_are_where_cards_say() -> None:
    """Looked for in the source: importing the libraries takes seconds."""
    for dotted in {name for card in cards() for name in card.also}:
        module, _, name = dotted.rpartition(".")
        library, *folders = module.split(".")
        spec = find_spec(library)
        assert spec is not None and spec.submodule_search_locations
        place = Path(spec.submodule_search_locations[0], *folders)
        assert any(f"class {name}(" in file.read_text(encoding="utf-8") for file in place.rglob("*.py")), dotted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("licence:", "license:"), "x.yaml: unknown key 'license' (did you mean 'licence'?)"),
        (GOOD.replace("metric: dice\n", ""), "x.yaml: key 'metric' is missing"),
        (GOOD.replace("items: 61", "items: many"), "x.yaml: items must be a whole number, got 'many'"),
        (
            GOOD.replace("items: 61", "sizes: 3\nitems: 61"),
            "x.yaml: sizes must be a mapping of parts to whole numbers, got 3",
        ),
        (GOOD.replace("licence: CC", "licence: 4\nurls: CC"), "x.yaml: unknown key 'urls' (did you mean 'url'?)"),
        (GOOD.replace("adapter: ", "title2: "), "x.yaml: unknown key 'title2' (did you mean 'title'?)"),
        (ADAPTERLESS, "x.yaml: name an adapter, or say under 'later' why there is none"),
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


def test_another_folder_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path)
    with pytest.raises(DataError, match="give the folder of one task"):
        list(rows(folder / "imagesTr"))
