"""Makes the album of a run: what its views look like, what it predicts, and where it puts the items.

Nothing here changes the model or the run's random streams. A part that fails leaves one line in `Album.missing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.collate import to_device
from ssl_platform.data.leaks import monitor_entries
from ssl_platform.data.loader import Loader
from ssl_platform.data.sequential import Sequential
from ssl_platform.errors import RunStopped
from ssl_platform.objectives.base import Export
from ssl_platform.opening import OpenData
from ssl_platform.report import album as albums
from ssl_platform.report.album import Album, EmbeddingMap, Reconstruction, ViewRow
from ssl_platform.report.neighbours import agreement, nearest, spread_out
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.projection import project
from ssl_platform.report.reconstruction import can_reconstruct, pictures, reconstruct
from ssl_platform.train.assemble import Model
from ssl_platform.train.monitor import evaluating
from ssl_platform.types import Batch, View, Views

SAMPLES = 6
"""Samples whose views are shown."""
ITEMS = 2000
"""Items on the map, at most."""
PASSES = 10
"""The items are embedded in this many interleaved passes, so that a slow one may end early and still be spread out."""
SECONDS = 20.0
"""No further pass begins after this."""
THUMBNAILS = 200
QUERIES = 8
SIDE, SMALL_SIDE = 192, 112
"""Longer side of a picture and of a thumbnail."""


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

    def item(self, row: int) -> str:
        """An item's id as the page may show it: salted and hashed where items are people."""
        catalog = self.data.catalog
        name = catalog.row(row).id
        if not self.data.domain.sensitive:
            return name
        key = f"{catalog.id} {self.config.seed}".encode()[:64]
        return blake2b(name.encode(), key=key, digest_size=4).hexdigest()

    def render(self, x: np.ndarray, view: View) -> np.ndarray:
        """A picture of one sample `[C, *size]` (or `[N, C]`) of a view, whose first sample it is."""
        channels = list(view.channels)
        points = self.data.domain.layout.points
        if view.channel_valid is not None and not points:
            real = view.channel_valid[0].cpu().numpy()
            x, channels = x[real], [c for c, r in zip(channels, real, strict=False) if r]
        return self.data.domain.render(x, channels)


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
        with _noted(made, "views"):
            batch, views, rows = _first_views(subject, export)
            made.views = _view_rows(subject, batch, views, rows)
            with _noted(made, "reconstructions"):
                made.reconstructions = _reconstructions(subject, export, views, rows)
        with _noted(made, "embedding map"):
            made.embedding = _map(subject, export)
    albums.save(made, run)
    return made


@contextmanager
def _noted(made: Album, what: str) -> Iterator[None]:
    """A failing picture is worth a line, never a run."""
    try:
        yield
    except RunStopped:
        raise
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        made.missing.append(f"{what}: {type(error).__name__}: {line}")


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
    batch = to_device(next(iter(loader)), _device(export))
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
        pairs = [(name, thumbnail(subject.render(*_one(view, i)), SIDE)) for name, view in named if view.part == "main"]
        shown.append(ViewRow(subject.item(row), pairs))
    return shown


def _one(view: View, i: int) -> tuple[np.ndarray, View]:
    """Values of sample `i`, and the view with that sample's channels."""
    channels = None if view.channel_valid is None else view.channel_valid[i : i + 1]
    return view.x[i].float().cpu().numpy(), view.replace(channel_valid=channels)


def _reconstructions(subject: Subject, export: Export, views: Views, rows: list[int]) -> list[Reconstruction]:
    ratio = getattr(subject.model.objective.config, "mask_ratio", None)
    if not isinstance(ratio, float) or not can_reconstruct(export):
        return []
    for part in export.parts.values():
        part.eval()
    filled, cells, error = reconstruct(export, views[0], ratio)
    return pictures(views[0], filled, cells, error, [subject.item(row) for row in rows], subject.render, SIDE)


def _device(export: Export) -> torch.device:
    return next((p.device for p in export.encoder.parameters()), torch.device("cpu"))


# -------------------------------------------------------------------------------------------------- the embedding map
def _map(subject: Subject, export: Export) -> EmbeddingMap | None:
    data = subject.data
    seen = monitor_entries(data.facts, data.splits.codes)
    rows = np.unique(np.concatenate([subject.train_rows, data.facts.row[seen]]))
    chosen = _spaced(rows, ITEMS)
    if len(chosen) < 3:
        return None
    z, found, shown = _embed(subject, export, chosen)
    fine = z.isfinite().all(dim=1)
    if not bool(fine.all()):
        raise ValueError(f"{int((~fine).sum())} of {len(fine)} embeddings are not finite")
    target, classes = _labels(subject, seen, found)
    groups = [data.rows[row].group or f"\0{row}" for row in found]
    similarity, order = nearest(z, groups)
    queries = spread_out(len(found), QUERIES, target if classes else None)
    neighbours = [albums.Neighbours(q, order[q].tolist(), similarity[q].tolist()) for q in queries]
    places, method = project(z)
    wanted = {*queries, *(n for one in neighbours for n in one.found)}
    wanted |= set(_spaced(np.arange(len(found)), max(0, THUMBNAILS - len(wanted))).tolist())
    share = agreement(order, target) if classes and target is not None else (None, None)
    return EmbeddingMap(
        places=places.numpy(),
        items=[subject.item(row) for row in found],
        target=None if target is None else target.astype(np.float64),
        classes=classes,
        method=method,
        total=len(rows),
        thumbnails={place: thumbnail(shown(place), SMALL_SIDE) for place in sorted(wanted)},
        neighbours=neighbours,
        agreement=share[0],
        chance=share[1],
    )


def _embed(subject: Subject, export: Export, rows: np.ndarray) -> tuple[Tensor, list[int], Callable[[int], np.ndarray]]:
    """Embeddings of as many items as time allows, their rows (ascending), and their pictures by place."""
    began = time.monotonic()
    model = subject.model
    found: dict[int, Tensor] = {}
    passes = PASSES if len(rows) > 16 * PASSES else 1
    for number in range(passes):
        for batch, own in _windows(subject, rows[number::passes]):
            view = model.maker.clean(to_device(batch, _device(export)))
            found.update(zip(own, export.encoder(view).pooled.float().cpu(), strict=True))
        if time.monotonic() - began > SECONDS:
            break
    order = sorted(found)

    def shown(place: int) -> np.ndarray:
        batch, _ = next(_windows(subject, np.array([order[place]])))
        return subject.render(*_one(model.maker.clean(batch), 0))

    return torch.stack([found[row] for row in order]), order, shown


def _windows(subject: Subject, rows: np.ndarray) -> Iterator[tuple[Batch, list[int]]]:
    """Batches of the middle windows of items, and the rows they are of."""
    data = subject.data
    for batch in Sequential(data.catalog, data.domain, window=subject.model.window, batch_size=16, rows=rows):
        yield batch, [int(rows[p]) for p in batch.position.tolist()]


def _labels(subject: Subject, seen: np.ndarray, rows: list[int]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels of training and validation rows, never of test rows."""
    facts = subject.data.facts
    layout = facts.layout
    if layout is None or layout.kind not in ("classification", "regression") or facts.target.ndim != 1:
        return None, ()
    by_row = subject.data.labels_by_row(seen)
    return (None, ()) if by_row is None else (by_row[np.array(rows)], layout.classes)


def _spaced(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the values, evenly spaced."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).round().astype(np.int64)] if count else values[:0]
