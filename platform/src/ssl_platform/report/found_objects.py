"""Boxes that object discovery draws, on pictures of test items beside the object where masks know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ssl_platform.report.album import Example
from ssl_platform.report.overlays import window_of
from ssl_platform.report.paint import PALETTE, border, classes_on, painted, showing
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.seen import Seen, sample
from ssl_platform.transfer.boxes import object_boxes, overlap
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.protocols.object_discovery import Covering, window_boxes
from ssl_platform.types import View

NAMES = {"lost": "LOST", "tokencut": "TokenCut"}
SIDE = 320
"""Cells of the longer side of a picture: lines of one cell must not fade."""
_TRUE, _FOUND = PALETTE[0], PALETTE[1]
_OFF_CENTRE = 0.35


def found_objects(seen: Seen, opened: Opened, rows: Sequence[int]) -> list[Example]:
    """The window of each item with most of an object, or the middle one without masks: the object, and every box.

    Args:
        seen: renders.
        opened: encoder and data.
        rows: catalog rows; those of which nothing is found are left out.
    """
    made = []
    for row in rows:
        if (chosen := _chosen(opened, row)) is None:
            continue
        view, i, classes, objects = chosen
        drawn = window_boxes(opened.encoder, view)[i]
        if drawn:
            made.append(Example(seen.item(row), pictures(seen, view, i, drawn, classes, objects)))
    return made


def _chosen(opened: Opened, row: int) -> tuple[View, int, np.ndarray | None, tuple[int, ...]] | None:
    """View, place in it, classes of its cells and which of them are objects; None where nothing can be read."""
    windows = Covering(opened, np.array([row]))
    middle, best, passed = windows.batches.total // 2, -1, 0
    found = None
    for batch, view, classes in windows:
        for i in range(len(batch)):
            weight = int(passed + i == middle) if classes is None else int(np.isin(classes[i], windows.objects).sum())
            if weight > best:
                best, found = weight, (view, i, None if classes is None else classes[i], windows.objects)
        passed += len(batch)
    return found


def pictures(
    seen: Seen,
    view: View,
    i: int,
    drawn: Mapping[str, np.ndarray],
    classes: np.ndarray | None,
    objects: Sequence[int],
) -> list[tuple[str, np.ndarray]]:
    """The window with its objects (or alone), then with the box of each method beside the box it suits best.

    Args:
        seen: renders.
        view: clean.
        i: place of the sample.
        drawn: `[2, S]` box of each method, in cells of the view.
        classes: `[*size]`, or None.
        objects: the classes that are objects.
    """
    x, own = sample(view, i)
    size, rank = x.shape[1:], x.ndim - 1
    true = [] if classes is None else object_boxes(classes, objects)
    inside = {name: _cells(box, size) for name, box in drawn.items()}
    marked = np.isin(classes, objects) if classes is not None and true else np.logical_or.reduce(list(inside.values()))
    cut: tuple[slice, ...] = (slice(None),) * rank
    if rank == 3:
        frames = seen.data.domain.layout.spatial[0] == "T"
        seen_from = window_of(size, marked, frames=frames, off_centre=_OFF_CENTRE)
        cut = tuple(slice(s, s + n) for s, n in zip(seen_from.start, seen_from.size, strict=True))
    x = x[(slice(None), *cut)]

    def render(values: np.ndarray) -> np.ndarray:
        return seen.render(values, own)

    plain = render(x)
    made = [("item", plain)]
    if classes is not None:
        made = [("object", classes_on(x, np.isin(classes, objects)[cut].astype(int), (1,), render))]
    for name, box in drawn.items():
        known = max(true, key=partial(overlap, box), default=None)
        shown = [] if known is None else [(_cells(known, size), _TRUE)]
        areas = [(showing(x, cells[cut], render), colour) for cells, colour in (*shown, (inside[name], _FOUND))]
        words = "" if known is None else f", overlap {overlap(box, known):.2f}"
        aside = "" if areas[-1][0].any() else ", not on these slices"
        layers = [(border(where, closed=True), colour, 0.95) for where, colour in areas]
        made.append((f"{NAMES.get(name, name)}{words}{aside}", painted(plain, layers)))
    return [(name, thumbnail(picture, SIDE)) for name, picture in made]


def _cells(box: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """`[*size]` bool, the cells of a box."""
    inside = np.zeros(size, dtype=bool)
    inside[tuple(slice(int(low), int(high)) for low, high in box.T)] = True
    return inside
