"""Reference and predicted classes on the picture of an item, where most of them is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ssl_platform.data.collate import collate
from ssl_platform.report.paint import PALETTE, classes_on, cloud
from ssl_platform.report.seen import Seen, sample
from ssl_platform.types import Row, Sample, Window

_LARGEST = {1: 4096, 2: 640, 3: 192}
"""Cells of a picture's window along each axis by rank, at most."""
_OFF_CENTRE = 0.2
"""The middle of the window lies within this part of the axis from its middle, so that most of the item is seen."""
_PLAIN = np.array([110.0, 118.0, 130.0])


def overlay(
    seen: Seen, row: Row, target: np.ndarray | None, found: np.ndarray, classes: Sequence[int]
) -> list[tuple[str, np.ndarray]]:
    """Pictures of an item, of the reference on it where there is one, and of the prediction on it.

    Args:
        seen: the items.
        row: the item.
        target, found: `[*shape]` classes; no target where there is no reference.
        classes: those that are shown.
    """
    domain = seen.data.domain
    marked = [("prediction", found)] if target is None else [("reference", target), ("prediction", found)]
    if domain.layout.points:
        return _of_points(seen, row, marked, classes)
    wanted = np.logical_or.reduce([np.isin(labels, classes) for _, labels in marked])
    box = window_of(row.shape, wanted, frames=domain.layout.spatial[0] == "T")
    read = Sample(0, ({"main": domain.read(row, box)["main"]},))
    read.meta = dict.fromkeys(domain.layout.meta, float("nan"))
    catalog = seen.data.catalog
    batch = collate([read], domain.layout, catalog.channels if domain.layout.ragged_channels else ())
    x, view = sample(seen.maker.clean(batch, size=box.size), 0)
    cut = tuple(slice(s, s + n) for s, n in zip(box.start, box.size, strict=True))

    def render(values: np.ndarray) -> np.ndarray:
        return seen.render(values, view)

    return [("item", render(x)), *((name, classes_on(x, labels[cut], classes, render)) for name, labels in marked)]


def window_of(
    shape: Sequence[int], wanted: np.ndarray, frames: bool = False, off_centre: float = _OFF_CENTRE
) -> Window:
    """The window whose middle slices cut most of what is wanted.

    Args:
        shape: of the item.
        wanted: `[*shape]` bool.
        frames: whether the first axis is time, which is shown from end to end.
        off_centre: how far its middle may lie from that of an axis, as a part of the axis.
    """
    start, size = [], []
    for axis, cells in enumerate(shape):
        if frames and axis == 0:
            start.append(0)
            size.append(cells)
            continue
        counts = wanted.sum(axis=tuple(a for a in range(wanted.ndim) if a != axis))
        near, far = int(cells * (0.5 - off_centre)), max(int(cells * (0.5 + off_centre)), 1)
        middle = near + int(counts[near:far].argmax()) if counts[near:far].any() else cells // 2
        half = min(middle, cells - 1 - middle, _LARGEST[len(shape)] // 2) if cells > 1 else 0
        start.append(middle - half)
        size.append(min(2 * half + 1, cells - middle + half))
    return Window(tuple(start), tuple(size))


def _of_points(
    seen: Seen, row: Row, marked: Sequence[tuple[str, np.ndarray]], classes: Sequence[int]
) -> list[tuple[str, np.ndarray]]:
    """Clouds with a colour a class, from the front and from above."""
    domain = seen.data.domain
    part = domain.read(row, replace(Window((0,), (row.shape[0],)), key=0))["main"]
    places = np.asarray(part.data[:, :3], dtype=np.float32)
    colours = {number: PALETTE[i % len(PALETTE)] for i, number in enumerate(classes)}

    def coloured(labels: np.ndarray) -> np.ndarray:
        return cloud(places, np.stack([colours.get(int(n), _PLAIN) for n in labels[: len(places)]]))

    plain = domain.render(np.asarray(part.data, dtype=np.float32), list(part.channels))
    return [("item", plain), *((name, coloured(labels)) for name, labels in marked)]
