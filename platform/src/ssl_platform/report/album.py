"""Pictures and embeddings of a run as they lie in its folder, beside the numbers: `report/album.{json,npz}`.

Reading them needs neither torch nor the data they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ssl_platform.data.files import replace_file

FOLDER, RECORD, ARRAYS, FORMAT = "report", "album.json", "album.npz", 2


@dataclass
class ViewRow:
    """The views of one sample.

    Attributes:
        item: its id.
        views: name and picture of each, the window as read first.
    """

    item: str
    views: list[tuple[str, np.ndarray]]


@dataclass
class Reconstruction:
    """What a masked objective made of one sample.

    Attributes:
        item: its id.
        input: picture of the view.
        visible: the same with alpha, masked cells transparent.
        filled: masked cells as predicted, the others as they are.
        error: mean error of the masked tokens as the loss counts it.
    """

    item: str
    input: np.ndarray
    visible: np.ndarray
    filled: np.ndarray
    error: float


@dataclass
class Neighbours:
    """The items nearest to one.

    Attributes:
        query: its place on the map.
        found: places of the nearest, nearest first, none of the query's own group.
        similarity: cosine of each.
    """

    query: int
    found: list[int]
    similarity: list[float]


@dataclass
class EmbeddingMap:
    """Items in two dimensions.

    Attributes:
        places: `[n, 2]` float32 in `[0, 1]`.
        items: ids.
        target: `[n]` class (-1 unknown) or value (nan unknown) as float64; None without labels.
        classes: their names; empty for values.
        method: `pca` or `tsne`.
        total: items there were to choose from.
        thumbnails: pictures by place.
        neighbours: of a few items.
        agreement: fraction of the nearest five that share the label, over labelled items; None without classes.
        chance: the same for neighbours drawn at random.
    """

    places: np.ndarray
    items: list[str]
    target: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    method: str = "pca"
    total: int = 0
    thumbnails: dict[int, np.ndarray] = field(default_factory=dict)
    neighbours: list[Neighbours] = field(default_factory=list)
    agreement: float | None = None
    chance: float | None = None


@dataclass
class Look:
    """Where an encoder looks.

    Attributes:
        item: its id.
        input: picture.
        attention: the same with the tokens that get most attention coloured.
        top: share of all attention that the tenth of the tokens with the most gets.
    """

    item: str
    input: np.ndarray
    attention: np.ndarray
    top: float


@dataclass
class Example:
    """A test item and what was said about it.

    Attributes:
        item: its id.
        pictures: name and picture of each: the input, of masks the reference and the prediction, of object discovery
            the object and the boxes.
        true, predicted: class, labels or value in words; empty of masks.
        right: whether they are equal; None where that is no question.
        score: probability of the predicted class, Dice of masks, or None.
    """

    item: str
    pictures: list[tuple[str, np.ndarray]]
    true: str = ""
    predicted: str = ""
    right: bool | None = None
    score: float | None = None


@dataclass
class Album:
    """All of it.

    Attributes:
        facts: plain values: domain, family, sensitive, step, items, parameters, trivial (loss), mask_ratio.
        views: of a few samples of the training stream.
        reconstructions: of the same samples, for masked objectives with a decoder.
        embedding: the map, or None.
        looks: attention of a few samples.
        examples: test items with what was predicted.
        objects: test items with the boxes that object discovery drew.
        missing: what could not be made, and why.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    views: list[ViewRow] = field(default_factory=list)
    reconstructions: list[Reconstruction] = field(default_factory=list)
    embedding: EmbeddingMap | None = None
    looks: list[Look] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    objects: list[Example] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def save(album: Album, run: Path) -> Path:
    """Write an album into a run folder; each file atomically.

    Returns:
        Path of the record.
    """
    arrays: dict[str, np.ndarray] = {}

    def keep(array: np.ndarray) -> str:
        name = f"a{len(arrays)}"
        arrays[name] = array
        return name

    record: dict[str, Any] = {
        "format": FORMAT,
        "facts": album.facts,
        "missing": album.missing,
        "views": [{"item": r.item, "views": [[name, keep(p)] for name, p in r.views]} for r in album.views],
        "reconstructions": [
            {"item": r.item, "error": r.error, "pictures": [keep(r.input), keep(r.visible), keep(r.filled)]}
            for r in album.reconstructions
        ],
        "looks": [{"item": k.item, "top": k.top, "pictures": [keep(k.input), keep(k.attention)]} for k in album.looks],
        "examples": [_example_record(one, keep) for one in album.examples],
        "objects": [_example_record(one, keep) for one in album.objects],
        "embedding": None if album.embedding is None else _map_record(album.embedding, keep),
    }
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    with replace_file(folder / ARRAYS) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    with replace_file(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")
    return folder / RECORD


def _example_record(one: Example, keep: Callable[[np.ndarray], str]) -> dict[str, Any]:
    return {**vars(one), "pictures": [[name, keep(picture)] for name, picture in one.pictures]}


def _map_record(found: EmbeddingMap, keep: Callable[[np.ndarray], str]) -> dict[str, Any]:
    return {
        "places": keep(found.places),
        "items": found.items,
        "target": None if found.target is None else keep(found.target),
        "classes": list(found.classes),
        "method": found.method,
        "total": found.total,
        "thumbnails": {str(place): keep(picture) for place, picture in found.thumbnails.items()},
        "neighbours": [[n.query, n.found, n.similarity] for n in found.neighbours],
        "agreement": found.agreement,
        "chance": found.chance,
    }


def load(run: Path) -> Album | None:
    """The album of a run folder, or None where there is none that can be read."""
    folder = run / FOLDER
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        with np.load(folder / ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if record.get("format") != FORMAT:
            return None
        return Album(
            facts=record["facts"],
            missing=record["missing"],
            views=[ViewRow(r["item"], [(name, arrays[key]) for name, key in r["views"]]) for r in record["views"]],
            reconstructions=[_reconstruction_of(r, arrays) for r in record["reconstructions"]],
            embedding=None if record["embedding"] is None else _map_of(record["embedding"], arrays),
            looks=[_look_of(r, arrays) for r in record["looks"]],
            examples=[_example_of(r, arrays) for r in record["examples"]],
            objects=[_example_of(r, arrays) for r in record.get("objects", ())],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None


def _reconstruction_of(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Reconstruction:
    before, visible, filled = (arrays[key] for key in record["pictures"])
    return Reconstruction(record["item"], before, visible, filled, record["error"])


def _look_of(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Look:
    before, seen = (arrays[key] for key in record["pictures"])
    return Look(record["item"], before, seen, record["top"])


def _example_of(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Example:
    return Example(**{**record, "pictures": [(name, arrays[key]) for name, key in record["pictures"]]})


def _map_of(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> EmbeddingMap:
    return EmbeddingMap(
        places=arrays[record["places"]],
        items=record["items"],
        target=None if record["target"] is None else arrays[record["target"]],
        classes=tuple(record["classes"]),
        method=record["method"],
        total=record["total"],
        thumbnails={int(place): arrays[key] for place, key in record["thumbnails"].items()},
        neighbours=[Neighbours(*values) for values in record["neighbours"]],
        agreement=record["agreement"],
        chance=record["chance"],
    )
