"""Items by their embedding: their map, and what is nearest to a few of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ssl_platform.data.collate import to_device
from ssl_platform.nn.backbone import Backbone
from ssl_platform.report import album as albums
from ssl_platform.report.album import EmbeddingMap
from ssl_platform.report.neighbours import agreement, nearest, spread_out
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.projection import project
from ssl_platform.report.seen import Seen, sample

ITEMS = 1000
"""Items on the map, at most."""
PASSES = 10
"""The items are embedded in this many interleaved passes, so that a slow one may end early and still be spread out."""
SECONDS = 20.0
"""No further pass begins after this."""
THUMBNAILS = 200
QUERIES = 8
SMALL_SIDE = 112
"""Longer side of a thumbnail."""
Labels = Callable[[list[int]], tuple[np.ndarray | None, tuple[str, ...]]]
"""Targets of catalog rows and the names of their classes."""


def item_map(
    seen: Seen, encoder: Backbone, rows: np.ndarray, labels: Labels, asked: Sequence[int] | None = None
) -> EmbeddingMap | None:
    """The map of at most `ITEMS` items, or None of fewer than three.

    Args:
        seen: the items.
        encoder: in evaluation mode.
        rows: catalog rows, ascending.
        labels: of rows; only those that may be seen.
        asked: rows whose neighbours are shown; any when None.

    Raises:
        ValueError: embeddings are not finite.
    """
    chosen = spaced(rows, ITEMS)
    if len(chosen) < 3:
        return None
    z, found, shown = _embed(seen, encoder, chosen)
    fine = z.isfinite().all(dim=1)
    if not bool(fine.all()):
        raise ValueError(f"{int((~fine).sum())} of {len(fine)} embeddings are not finite")
    target, classes = labels(found)
    groups = [seen.data.rows[row].group or f"\0{row}" for row in found]
    similarity, order = nearest(z, groups)
    queries = _queries(found, target if classes else None, asked)
    neighbours = [albums.Neighbours(q, order[q].tolist(), similarity[q].tolist()) for q in queries]
    places, method = project(z)
    wanted = {*queries, *(n for one in neighbours for n in one.found)}
    wanted |= set(spaced(np.arange(len(found)), max(0, THUMBNAILS - len(wanted))).tolist())
    share = agreement(order, target) if classes and target is not None else (None, None)
    return EmbeddingMap(
        places=places.numpy(),
        items=[seen.item(row) for row in found],
        target=None if target is None else target.astype(np.float64),
        classes=classes,
        method=method,
        total=len(rows),
        thumbnails={place: thumbnail(shown(place), SMALL_SIDE) for place in sorted(wanted)},
        neighbours=neighbours,
        agreement=share[0],
        chance=share[1],
    )


def _queries(found: list[int], target: np.ndarray | None, asked: Sequence[int] | None) -> list[int]:
    """Places of the items asked about, spread over the classes."""
    if asked is None:
        return spread_out(len(found), QUERIES, target)
    places = np.flatnonzero(np.isin(found, np.asarray(asked)))
    chosen = spread_out(len(places), QUERIES, None if target is None else target[places])
    return [int(places[i]) for i in chosen]


def _embed(seen: Seen, encoder: Backbone, rows: np.ndarray) -> tuple[Tensor, list[int], Callable[[int], np.ndarray]]:
    """Embeddings of as many items as time allows, their rows (ascending), and their pictures by place."""
    began = time.monotonic()
    found: dict[int, Tensor] = {}
    passes = PASSES if len(rows) > 16 * PASSES else 1
    for number in range(passes):
        for batch, own in seen.windows(rows[number::passes]):
            view = seen.maker.clean(to_device(batch, device_of(encoder)))
            found.update(zip(own, encoder(view).pooled.float().cpu(), strict=True))
        if time.monotonic() - began > SECONDS:
            break
    order = sorted(found)

    def shown(place: int) -> np.ndarray:
        batch, _ = next(seen.windows([order[place]]))
        return seen.render(*sample(seen.maker.clean(batch), 0))

    return torch.stack([found[row] for row in order]), order, shown


def device_of(encoder: torch.nn.Module) -> torch.device:
    """Where a module is."""
    return next((p.device for p in encoder.parameters()), torch.device("cpu"))


def spaced(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the values, evenly spaced."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).round().astype(np.int64)] if count else values[:0]
