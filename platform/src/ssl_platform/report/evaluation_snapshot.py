"""Makes the album of an evaluation: test items with what was predicted, what an encoder finds alike, where it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform.data.collate import to_device
from ssl_platform.nn.backbone import Backbone
from ssl_platform.report import album as albums
from ssl_platform.report.album import Album, Example
from ssl_platform.report.attention import looks
from ssl_platform.report.examples import MASKS, SIDE, item_examples, mask_examples
from ssl_platform.report.found_objects import found_objects
from ssl_platform.report.item_map import device_of, item_map, spaced
from ssl_platform.report.noted import noted
from ssl_platform.report.seen import Seen
from ssl_platform.train.monitor import evaluating
from ssl_platform.train.run import read_result
from ssl_platform.transfer import rounds
from ssl_platform.transfer.dense_evaluation import foreground
from ssl_platform.transfer.masks import MaskedDomain, mask_paths
from ssl_platform.transfer.model import WEIGHTS, TransferModel, load_model
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.stored_predictions import Predictions, protocols_of, read_predictions

LOOKS = 5
OBJECTS = "object-discovery"


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
            made.examples = _masks(seen, opened, model) if dense else item_examples(seen, _predictions(folder))
        if (folder / f"boxes_{OBJECTS}.json").exists():
            with noted(made, "objects"):
                made.objects = found_objects(seen, opened, spaced(tested, MASKS).tolist())
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


def _predictions(folder: Path) -> Predictions | None:
    """Of the protocol whose mistakes are shown: fine-tuning, else the first that predicts."""
    kind = str((read_result(folder) or {}).get("task") or "")
    known = [read_predictions(folder, name, kind) for name in protocols_of(folder)]
    predicting = [p for p in known if p is not None and not p.columns]
    return max(predicting, key=lambda p: (p.protocol == "finetune", p.protocol == "linear"), default=None)


def _masks(seen: Seen, opened: Opened, model: TransferModel | None) -> list[Example]:
    """Reference and prediction on slices of some test items."""
    data, layout = opened.data, opened.data.facts.layout
    if model is None or layout is None or not layout.values:
        return []
    masks = mask_paths(data.facts, data.catalog.column("id"))
    masked = MaskedDomain(data.domain, masks, layout.values, opened.config.labels.resample is not None)
    # The model of the round that was trained, of the first of several, and the items it has not seen.
    number = next(iter(rounds.rounds_of(opened)))
    rows = np.unique(data.facts.row[(opened.codes[number - 1] == 3) & data.facts.labelled])
    shown = foreground(opened.task.classes, layout.values, data.domain.layout.points)
    return mask_examples(seen, model, shown, rows, masked)
