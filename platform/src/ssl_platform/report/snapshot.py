"""Makes the album of a run: what its views look like, what it predicts, and where it puts the items.

Nothing here changes the model or the run's random streams. A part that fails leaves one line in `Album.missing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.collate import to_device
from ssl_platform.data.leaks import monitor_entries
from ssl_platform.data.loader import Loader
from ssl_platform.objectives.base import Export
from ssl_platform.opening import OpenData
from ssl_platform.report import album as albums
from ssl_platform.report.album import Album, EmbeddingMap, Reconstruction, ViewRow
from ssl_platform.report.attention import looks
from ssl_platform.report.item_map import device_of, item_map
from ssl_platform.report.noted import noted
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.reconstruction import can_reconstruct, pictures, reconstruct
from ssl_platform.report.seen import Seen, sample
from ssl_platform.train.assemble import Model
from ssl_platform.train.monitor import evaluating
from ssl_platform.types import Batch, Views

SAMPLES = 6
"""Samples whose views are shown."""
SIDE = 192
"""Longer side of a picture."""


@dataclass
class Subject:
    """A run while its model and its data are at hand.

    Attributes:
        config: resolved.
        data: opened.
        model: trained.
        train_rows: catalog rows trained on.
        step: steps done.
    """

    config: RunConfig
    data: OpenData
    model: Model
    train_rows: np.ndarray
    step: int

    @property
    def seen(self) -> Seen:
        """Its items, as the model takes them."""
        return Seen(self.config, self.data, self.model.maker, tuple(self.model.window))


def take(run: Path, subject: Subject, device: torch.device | None = None) -> Album:
    """Make the album of a run and write it into its folder.

    Args:
        run: the run folder.
        subject: model and data.
        device: where to compute; the model stays there. None leaves the model where it is.
    """
    model = subject.model
    if device is not None:
        model.backbone.to(device)
        model.objective.to(device)
    export = model.objective.export(model.backbone)
    made = Album(facts=_facts(subject, export))
    with torch.no_grad(), evaluating(export.encoder), evaluating(model.objective):
        with noted(made, "views"):
            batch, views, rows = _first_views(subject, export)
            made.views = _view_rows(subject, batch, views, rows)
            with noted(made, "reconstructions"):
                made.reconstructions = _reconstructions(subject, export, views, rows)
            with noted(made, "attention maps"):
                clean, items = subject.model.maker.clean(batch), [subject.seen.item(row) for row in rows]
                made.looks = looks(subject.seen, export.encoder, clean, items, SIDE)
        with noted(made, "embedding map"):
            made.embedding = _map(subject, export)
    albums.save(made, run)
    return made


def _facts(subject: Subject, export: Export) -> dict[str, Any]:
    config, model = subject.config, subject.model
    batch = int(config.data.batch_size)
    # Without a coupling in the batch, the loss of a micro-batch does not depend on its size.
    trivial = model.objective.trivial(batch if model.plan.batch_coupled else batch // config.data.accumulate)
    return {
        "domain": config.domain,
        "family": model.objective.family,
        "sensitive": bool(subject.data.domain.sensitive),
        "step": subject.step,
        "items": len(subject.train_rows),
        "window": list(model.window),
        "parameters": sum(p.numel() for p in export.encoder.parameters()),
        "trivial": trivial,
        "mask_ratio": getattr(model.objective.config, "mask_ratio", None),
    }


# ---------------------------------------------------------------------------------------------- the training stream
def _first_views(subject: Subject, export: Export) -> tuple[Batch, Views, list[int]]:
    """The first samples of the run as the model got them, and their catalog rows."""
    config, data, model = subject.config, subject.data, subject.model
    loader = Loader(
        data.catalog.select(subject.train_rows),
        data.domain,
        model.plan,
        window=model.window,
        batch_size=min(SAMPLES, len(subject.train_rows)),
        seed=config.seed,
        windows_per_item=config.data.windows_per_item,
        sources=config.data.sources or None,
        max_bad_fraction=1.0,
    )
    batch = to_device(next(iter(loader)), device_of(export.encoder))
    slots = config.data.windows_per_item
    return batch, model.maker(batch), [int(subject.train_rows[i // slots]) for i in batch.index.tolist()]


def _view_rows(subject: Subject, batch: Batch, views: Views, rows: list[int]) -> list[ViewRow]:
    named = [("as read", subject.model.maker.clean(batch))]
    roles = [view.role for view in views]
    for i, view in enumerate(views):
        several = roles.count(view.role) > 1
        named.append((f"{view.role} {roles[: i + 1].count(view.role)}" if several else view.role, view))
    shown = []
    for i, row in enumerate(rows):
        pairs = [
            (name, thumbnail(subject.seen.render(*sample(view, i)), SIDE))
            for name, view in named
            if view.part == "main"
        ]
        shown.append(ViewRow(subject.seen.item(row), pairs))
    return shown


def _reconstructions(subject: Subject, export: Export, views: Views, rows: list[int]) -> list[Reconstruction]:
    ratio = getattr(subject.model.objective.config, "mask_ratio", None)
    if not isinstance(ratio, float) or not can_reconstruct(export):
        return []
    for part in export.parts.values():
        part.eval()
    filled, cells, error = reconstruct(export, views[0], ratio)
    return pictures(views[0], filled, cells, error, [subject.seen.item(row) for row in rows], subject.seen.render, SIDE)


# -------------------------------------------------------------------------------------------------- the embedding map
def _map(subject: Subject, export: Export) -> EmbeddingMap | None:
    data = subject.data
    seen = monitor_entries(data.facts, data.splits.codes)
    rows = np.unique(np.concatenate([subject.train_rows, data.facts.row[seen]]))
    return item_map(subject.seen, export.encoder, rows, lambda found: _labels(subject, seen, found))


def _labels(subject: Subject, seen: np.ndarray, rows: list[int]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels of training and validation rows, never of test rows."""
    facts = subject.data.facts
    layout = facts.layout
    if layout is None or layout.kind not in ("classification", "regression") or facts.target.ndim != 1:
        return None, ()
    by_row = subject.data.labels_by_row(seen)
    return (None, ()) if by_row is None else (by_row[np.array(rows)], layout.classes)
