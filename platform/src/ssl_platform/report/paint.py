"""Colours laid on the picture of an item: where a class is, or where an encoder looks.

A domain's picture may cut, turn, join and rescale in any way, so the pixels that show some cells are told by what they
do: two fillings of the cells that are each other's opposite change the pixels that show them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FOLLOWS = 100
"""Grey levels by which a pixel must change with the cells to be one of them."""
PALETTE = np.array([
    (0, 158, 255), (255, 122, 0), (0, 200, 120), (230, 90, 200), (255, 205, 0), (120, 220, 255), (255, 70, 70),
    (170, 140, 90),
], dtype=np.float32)  # fmt: skip
"""Colours of classes, in the order of the page's keys."""
LIT = np.array((90, 225, 255), dtype=np.float32)
"""Colour of what gets most attention."""
_DARK = np.array((6, 8, 12), dtype=np.float32)
_DIMMED = (0.5, 0.7, 0.85)
"""Cells below each of these quantiles of a map are darkened once more."""
TOP = 0.9
"""Cells beyond this quantile of a map are outlined."""
_SIDE = 96
Render = Callable[[np.ndarray], np.ndarray]


def showing(x: np.ndarray, cells: np.ndarray, render: Render) -> np.ndarray:
    """`[H, W]` bool, which pixels of a picture show some cells.

    Constants suffice for projections, checkers for slices that lie wholly in the cells. Bright constants may darken the
    rest of a picture that is stretched to its values, so what brightens with them counts where anything does.

    Args:
        x: `[C, *size]`.
        cells: bool, `[*size]` or `[C, *size]`.
        render: values to their picture.
    """
    low, high = _ends(x)
    parity = np.indices(x.shape[1:]).sum(axis=0) % 2 == 0

    def change(first: np.ndarray) -> np.ndarray:
        """`[H, W, 1..3]` by how much pixels rise when low cells become high ones, and the others low."""
        fillings = (np.where(first, low, high), np.where(first, high, low))
        dark, bright = (render(np.where(cells, filling, x).astype(x.dtype)).astype(np.int16) for filling in fillings)
        return np.atleast_3d(bright - dark)

    constant = change(np.ones_like(parity))
    rises = (constant > FOLLOWS).any(axis=2)
    follows = rises if rises.any() else (np.abs(constant) > FOLLOWS).any(axis=2)
    return np.asarray(follows | (np.abs(change(parity)) > FOLLOWS).any(axis=2))


def _ends(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[C, 1, ...]` low and high values of each channel, which leave a stretch between percentiles nearly as it is."""
    flat = np.nan_to_num(x.reshape(len(x), -1))
    low, high = np.percentile(flat, (2, 98), axis=1)
    flatly = high <= low
    low, high = np.where(flatly, flat.min(axis=1), low), np.where(flatly, flat.max(axis=1), high)
    shape = (len(x), *[1] * (x.ndim - 1))
    return low.reshape(shape), high.reshape(shape)


def painted(picture: np.ndarray, layers: Sequence[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """`[H, W, 3]` uint8: the picture with colours laid on it.

    Args:
        picture: `[H, W]` or `[H, W, 3]` uint8.
        layers: `[H, W]` bool, colour of three and opacity in [0, 1] of each.
    """
    shown: np.ndarray = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]
    shown = shown.astype(np.float32)
    for where, colour, opacity in layers:
        shown = np.where(where[..., None], shown * (1 - opacity) + colour * opacity, shown)
    return np.asarray(shown.round().astype(np.uint8))


def classes_on(x: np.ndarray, labels: np.ndarray, classes: Sequence[int], render: Render) -> np.ndarray:
    """A picture with every class in its colour: its inside light, its border strong.

    Args:
        x: `[C, *size]`.
        labels: `[*size]` classes.
        classes: those that are shown; the first takes the first colour.
        render: values to their picture.
    """
    layers = []
    for i, number in enumerate(classes):
        if (labels == number).any():
            where, colour = showing(x, labels == number, render), PALETTE[i % len(PALETTE)]
            layers += [(where, colour, 0.35), (border(where), colour, 0.9)]
    return painted(render(x), layers)


def border(where: np.ndarray, closed: bool = False) -> np.ndarray:
    """The pixels of an area that touch others beside or below and above.

    Args:
        where: `[H, W]` bool.
        closed: whether the picture's edge is a border too.
    """
    held = np.pad(where, 1) if closed else np.pad(where, 1, mode="edge")
    inside = held[:-2, 1:-1] & held[2:, 1:-1] & held[1:-1, :-2] & held[1:-1, 2:]
    return np.asarray(where & ~inside)


def heat_on(x: np.ndarray, heat: np.ndarray, render: Render) -> np.ndarray:
    """A picture that is dark where a map is low, with an outline where it is highest.

    Args:
        x: `[C, *size]`.
        heat: `[*size]`.
        render: values to their picture.
    """
    layers = []
    for share in _DIMMED:
        cells = heat <= np.quantile(heat, share)
        if not cells.all():
            layers.append((showing(x, cells, render), _DARK, 0.45))
    top = heat > np.quantile(heat, TOP)
    if top.any():
        layers.append((border(showing(x, top, render)), LIT, 0.95))
    return painted(render(x), layers)


def cloud(places: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """`[96, 193, 3]` uint8: coloured points from the front and from above, near ones bright and on top.

    Args:
        places: `[N, 3]`.
        colours: `[N, 3]` in [0, 255].
    """
    unit = places - places.min(axis=0)
    unit = unit / max(float(unit.max()), 1e-9)
    dot = dot_of(len(places))
    views = []
    for up, near in ((2, 1 - unit[:, 1]), (1, unit[:, 2])):
        order = np.argsort(near, kind="stable")
        row, column = ((v[order] * (_SIDE - dot)).round().astype(int) for v in (1 - unit[:, up], unit[:, 0]))
        picture = np.zeros((_SIDE, _SIDE, 3), np.uint8)
        shade = (colours[order] * (0.35 + 0.65 * near[order, None])).round()
        # Later assignments win, so the nearest point of a cell is the one seen.
        down, right = np.indices((dot, dot)).reshape(2, -1)
        picture[row[:, None] + down, column[:, None] + right] = shade[:, None]
        views.append(picture)
    return np.concatenate([views[0], np.zeros((_SIDE, 1, 3), np.uint8), views[1]], axis=1)


def dot_of(count: int) -> int:
    """Cells of a point's side: few points are drawn larger, so that they are seen as a surface."""
    return int(np.clip(round((0.5 * _SIDE**2 / max(count, 1)) ** 0.5), 1, 4))
