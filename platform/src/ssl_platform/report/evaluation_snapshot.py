"""Makes the album of an evaluation: test items with what was predicted, what an encoder finds alike, where it looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform.data.collate import to_device
from ssl_platform.errors import Unreadable
from ssl_platform.nn.backbone import Backbone
from ssl_platform.report import album as albums
from ssl_platform.report.album import Album, Example
from ssl_platform.report.attention import looks
from ssl_platform.report.item_map import device_of, item_map, spaced
from ssl_platform.report.markup import number
from ssl_platform.report.noted import noted
from ssl_platform.report.overlays import overlay
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.seen import Seen, sample
from ssl_platform.train.monitor import evaluating
from ssl_platform.train.run import read_result
from ssl_platform.transfer import rounds
from ssl_platform.transfer.dense_evaluation import foreground, segment
from ssl_platform.transfer.masks import UNKNOWN, MaskedDomain, mask_paths
from ssl_platform.transfer.metrics import dice, mean_known
from ssl_platform.transfer.model import WEIGHTS, TransferModel, load_model
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.stored_predictions import Predictions, protocols_of, read_predictions

WRONG, RIGHT = 6, 6
"""Test items that are shown: the surest mistakes, and some of the others."""
MASKS, LOOKS = 5, 5
SIDE = 192
LARGEST = 64_000_000
"""Cells of an item whose masks are shown, at most."""


def take(folder: Path, opened: Opened) -> Album:
    """Make the album of an evaluation and write it into its folder.

    Args:
        folder: of `probe` or `finetune`, with its predictions and models.
        opened: the encoder and the data it was asked about.
    """
    model = _model(folder)
    encoder = opened.encoder.model if model is None else model.backbone
    seen = Seen(opened.config, opened.data, opened.maker, tuple(opened.window))
    made = Album(facts={"sensitive": bool(opened.data.domain.sensitive), "domain": opened.config.domain})
    layout = opened.data.facts.layout
    dense = layout is not None and layout.kind == "segmentation"
    tested = np.unique(opened.data.facts.row[(opened.codes == 3).any(axis=0)])
    tested = tested if len(tested) else np.arange(len(opened.data.catalog))
    with torch.no_grad(), evaluating(encoder):
        with noted(made, "examples"):
            if layout is not None and dense:
                shown = foreground(opened.task.classes, layout.values, seen.data.domain.layout.points)
                made.facts["mask_classes"] = list(shown.values())
            made.examples = _masks(seen, opened, model) if dense else _items(seen, folder)
        if not dense:
            with noted(made, "embedding map"):
                made.embedding = _map(seen, opened, encoder, tested)
        with noted(made, "attention maps"):
            rows = spaced(tested, LOOKS)
            batch, own = next(seen.windows(rows))
            view = seen.maker.clean(to_device(batch, device_of(encoder)))
            made.looks = looks(seen, encoder, view, [seen.item(row) for row in own], SIDE)
    albums.save(made, folder)
    return made


def _model(folder: Path) -> TransferModel | None:
    """The model that was trained, that of the first round where there are several; None of a probe."""
    places = [folder, *sorted(folder.glob("fold*"))]
    return next((load_model(place)[0] for place in places if (place / WEIGHTS).exists()), None)


def _map(seen: Seen, opened: Opened, encoder: Backbone, tested: np.ndarray) -> Any:
    """Test items and the labelled others; asked about are test items."""
    facts, layout = opened.data.facts, opened.data.facts.layout
    used = np.unique(facts.row[(opened.codes > 0).any(axis=0)])
    used = used if len(used) else tested

    def labels(rows: list[int]) -> tuple[np.ndarray | None, tuple[str, ...]]:
        by_row = opened.data.labels_by_row(np.flatnonzero(facts.labelled))
        if layout is None or by_row is None or by_row.ndim != 1:
            return None, ()
        return by_row[np.array(rows)], tuple(layout.classes)

    return item_map(seen, encoder, used, labels, asked=tested.tolist())


# --------------------------------------------------------------------------------------------------- items and masks
def _items(seen: Seen, folder: Path) -> list[Example]:
    """Pictures of the surest mistakes and of some other test items."""
    found = _predictions(folder)
    if found is None:
        return []
    facts = seen.data.facts
    several = Counter(facts.id)  # windows of one item share its id
    rows = {name: int(row) for name, row in zip(facts.id, facts.row, strict=True) if several[name] == 1}
    chosen = [i for i in _chosen(found) if found.ids[i] in rows]
    made = []
    for i in chosen:
        row = rows[found.ids[i]]
        try:
            batch, _ = next(seen.windows([row]))
        except (Unreadable, StopIteration):
            continue
        picture = seen.render(*sample(seen.maker.clean(batch), 0))
        made.append(Example(seen.item(row), [("item", thumbnail(picture, SIDE))], *_words(found, i)))
    return made


def _predictions(folder: Path) -> Predictions | None:
    """Of the protocol whose mistakes are shown: fine-tuning, else the first that predicts."""
    kind = str((read_result(folder) or {}).get("task") or "")
    known = [read_predictions(folder, name, kind) for name in protocols_of(folder)]
    predicting = [p for p in known if p is not None and not p.columns]
    return max(predicting, key=lambda p: (p.protocol == "finetune", p.protocol == "linear"), default=None)


def _chosen(found: Predictions) -> list[int]:
    """Places of the items that are shown, the surest mistakes first."""
    if found.kind == "regression":
        error = np.abs(found.target - found.score)
        worst = np.argsort(-error, kind="stable")[:WRONG]
        return [*worst.tolist(), *_others(np.setdiff1d(np.arange(len(error)), worst))]
    if found.kind == "multi-label":
        return _others(np.arange(len(found.ids)), WRONG + RIGHT)
    sure, right = found.score.max(axis=1), found.score.argmax(axis=1) == found.target
    wrong = np.flatnonzero(~right)
    return [*wrong[np.argsort(-sure[wrong], kind="stable")][:WRONG].tolist(), *_others(np.flatnonzero(right))]


def _others(places: np.ndarray, count: int = RIGHT) -> list[int]:
    return [int(i) for i in spaced(places, count)]


def _words(found: Predictions, i: int) -> tuple[str, str, bool | None, float | None]:
    """True, predicted, whether they are equal, and how sure it was."""
    if found.kind == "regression":
        return number(float(found.target[i])), number(float(found.score[i])), None, None
    if found.kind == "multi-label":
        true = [name for name, t in zip(found.classes, found.target[i], strict=True) if t == 1]
        first = int(found.score[i].argmax())
        return ", ".join(true) or "none", found.classes[first], None, None
    best = int(found.score[i].argmax())
    sure = float(found.score[i, best])
    within = bool((found.score >= 0).all() and (found.score <= 1).all())
    known = int(found.target[i])
    return found.classes[known], found.classes[best], best == known, sure if within else None


def _masks(seen: Seen, opened: Opened, model: TransferModel | None) -> list[Example]:
    """Reference and prediction on slices of some test items."""
    data, layout = opened.data, opened.data.facts.layout
    if model is None or layout is None or not layout.values:
        return []
    masks = mask_paths(data.facts, data.catalog.column("id"))
    masked = MaskedDomain(data.domain, masks, layout.values, opened.config.labels.resample is not None)
    shown = foreground(opened.task.classes, layout.values, data.domain.layout.points)
    # The model of the round that was trained, of the first of several, and the items it has not seen.
    number = next(iter(rounds.rounds_of(opened)))
    rows = np.unique(data.facts.row[(opened.codes[number - 1] == 3) & data.facts.labelled])
    rows = np.array([r for r in rows.tolist() if np.prod(data.catalog.row(r).shape) <= LARGEST], dtype=np.int64)
    made = []
    for place in spaced(rows, MASKS).tolist():
        row = data.catalog.row(place)
        try:
            target = masked.target(row)
            device, channels = device_of(model), _channels(opened)
            found = segment(model, opened.maker, data.domain, row, opened.window, device=device, channels=channels)
        except Unreadable:
            continue
        value = mean_known([dice(target, found, label, ignore=UNKNOWN) for label in shown])
        pictures = overlay(seen, row, target, found, list(shown))
        small = [(name, thumbnail(picture, SIDE)) for name, picture in pictures]
        made.append(Example(seen.item(place), small, score=None if np.isnan(value) else value))
    return made


def _channels(opened: Opened) -> Sequence[str]:
    catalog = opened.data.catalog
    return catalog.channels if opened.data.domain.layout.ragged_channels else ()
