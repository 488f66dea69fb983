"""Where windows lie: on ground that has data, on ground that no other scene of the day has given already, and again at
another time for the same place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.window import place_uniform
from ssl_platform.errors import DataError
from ssl_platform.types import Row, Window
from ssl_platform_multispectral.grid import Bounds, bounds, footprint, transform_of
from ssl_platform_multispectral.ground import free_starts
from ssl_platform_multispectral.read import gaps_possible, valid_share
from ssl_platform_multispectral.scene import reading_of, scene_of

TRIES = 12
_GOLDEN = 0.6180339887498949  # steps of it spread evenly over [0, 1) (Roberts' sequence needs no table)
_PARTNER_SHARE = 0.5  # of a window that a scene of another time must hold


def place(
    row: Row, size: Sequence[int], uniforms: np.ndarray, min_valid: float, taken: Sequence[Bounds] = ()
) -> Window:
    """A window whose part with data is at least `min_valid`, and whose middle no earlier scene of that day covers.

    Up to twelve places are tried; where none has enough data, the one with most is taken. A scene that lies wholly on
    ground of others is drawn from as if it were alone: `settle` names it.

    Args:
        row: fitted.
        size: cells along y and x.
        uniforms: at least two numbers in `[0, 1)` that decide everything.
        min_valid: `data.min_valid`.
        taken: ground of other scenes, in the row's coordinate system.
    """
    gaps = min_valid > 0 and gaps_possible(row)
    free = free_starts(row, size, taken) if taken else None
    best, most = None, -1.0
    for attempt in range(TRIES if gaps else 1):
        moved = (np.asarray(uniforms[:2]) + attempt * np.array([_GOLDEN, _GOLDEN * _GOLDEN])) % 1.0
        window = free.at(float(moved[0]), size) if free else place_uniform(row, size, moved)
        if not gaps:
            return window
        share = valid_share(row, window)
        if share >= min_valid:
            return window
        if share > most:
            best, most = window, share
    assert best is not None
    return best


def _middle(row: Row, window: Window) -> tuple[float, float]:
    a, _, left, _, e, top = transform_of(scene_of(row), reading_of(row).step)
    (y, x), (height, width) = window.start, window.size
    return left + a * (x + width / 2), top + e * (y + height / 2)


def at_ground(row: Row, x: float, y: float, size: Sequence[int]) -> Window:
    """The window of `row` around a point of its coordinate system, moved inside where it would reach out."""
    a, _, left, _, e, top = transform_of(scene_of(row), reading_of(row).step)
    centre = ((y - top) / e, (x - left) / a)
    start = []
    for c, s, n in zip(centre, size, row.shape, strict=True):
        low, high = min(0, n - s), max(0, n - s)
        start.append(min(max(round(c - s / 2), low), high))
    return Window(tuple(start), tuple(size))


@dataclass
class Neighbourhood:
    """Which scenes of a catalog share ground.

    Args:
        catalog: fitted rows.

    Attributes:
        taken: by row id, ground (in the row's coordinate system) that an earlier row of the same day gives, in some of
            the same bands.
        partners: by row id, row numbers of scenes of the same place at other times.
    """

    catalog: Catalog
    taken: dict[str, list[Bounds]] = field(default_factory=dict)
    partners: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = list(self.catalog.rows())
        for i, j in _meeting(rows):
            first, second = rows[i], rows[j]
            shared = _shared(first, second)
            if shared > 0 and _day(first) == _day(second):
                if set(first.channels) & set(second.channels):
                    self.taken.setdefault(second.id, []).append(_bounds_in(first, second))
            elif shared >= _PARTNER_SHARE and first.channels == second.channels:
                self.partners.setdefault(first.id, []).append(j)
                self.partners.setdefault(second.id, []).append(i)

    def elsewhen(
        self, row: Row, first: Window, count: int, uniforms: np.ndarray, size: Sequence[int]
    ) -> list[tuple[Row, Window]]:
        """The same ground at `count` other times, drawn among those there are; the same time where there is none.

        Args:
            row: the item.
            first: a window of it.
            count: how many.
            uniforms: `[count]` numbers in `[0, 1)`.
            size: cells along y and x.
        """
        others = self.partners.get(row.id, [])
        found = []
        for u in uniforms[:count]:
            if not others:
                found.append((row, first))
                continue
            other = self.catalog.row(others[int(u * len(others))])
            found.append((other, at_ground(other, *_moved(row, other, _middle(row, first)), size)))
        return found


def repeated(rows: Iterable[Row]) -> list[str]:
    """Ids of rows all of whose ground earlier rows of the same day give."""
    catalog = Catalog.of(rows)
    taken = Neighbourhood(catalog).taken
    return [row.id for row in catalog.rows() if row.id in taken and not free_starts(row, (1, 1), taken[row.id])]


def check_places(catalog: Catalog, neighbourhood: Neighbourhood) -> None:
    """Refuse season pairs where no place was seen twice.

    Raises:
        DataError: no scene has a partner.
    """
    if not neighbourhood.partners:
        raise DataError(
            f"none of the {len(catalog)} scenes shows a place of another at another time: objectives that pair seasons "
            "need places seen twice (are acquisition times known? a manifest column 'time' gives them)"
        )


def _day(row: Row) -> str:
    return str(row.meta.get("time") or "")[:10]


def _meeting(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose footprints meet, each once, the earlier first.

    Footprints are put in the cells of a grid as wide as the widest of them, so each meets those of few others.
    """
    boxes = [footprint(scene_of(row)) if scene_of(row).crs else None for row in rows]
    known = [box for box in boxes if box is not None]
    if not known:
        return
    wide = max(1e-6, float(np.median([max(e - w, n - s) for w, s, e, n in known])))
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for j, box in enumerate(boxes):
        if box is None:
            continue
        west, south, east, north = box
        seen: set[int] = set()
        for cx in range(math.floor(west / wide), math.floor(east / wide) + 1):
            for cy in range(math.floor(south / wide), math.floor(north / wide) + 1):
                seen.update(cells[cx, cy])
                cells[cx, cy].append(j)
        for i in sorted(seen):
            other = boxes[i]
            assert other is not None
            if min(east, other[2]) > max(west, other[0]) and min(north, other[3]) > max(south, other[1]):
                yield i, j


def _bounds_in(row: Row, other: Row) -> Bounds:
    """Ground of `row` in the coordinate system of `other`."""
    from rasterio.warp import transform_bounds

    own, target = scene_of(row), scene_of(other)
    box = bounds(own)
    if own.crs == target.crs:
        return box
    left, bottom, right, top = transform_bounds(own.crs, target.crs, *box)
    return left, bottom, right, top


def _moved(row: Row, other: Row, point: tuple[float, float]) -> tuple[float, float]:
    """A point of the row's coordinate system in the other's."""
    from rasterio.warp import transform

    own, target = scene_of(row).crs, scene_of(other).crs
    if own == target:
        return point
    xs, ys = transform(own, target, [point[0]], [point[1]])[:2]
    return xs[0], ys[0]


def _shared(row: Row, other: Row) -> float:
    """Part of the smaller scene's ground that both have."""
    own, second = bounds(scene_of(row)), _bounds_in(other, row)
    width = min(own[2], second[2]) - max(own[0], second[0])
    height = min(own[3], second[3]) - max(own[1], second[1])
    least = min((own[2] - own[0]) * (own[3] - own[1]), (second[2] - second[0]) * (second[3] - second[1]))
    return max(0.0, width) * max(0.0, height) / least if least > 0 else 0.0
