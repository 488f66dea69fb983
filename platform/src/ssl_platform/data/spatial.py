"""Spatial splits: `labels.blocks=600m,gap=100m` deals out square blocks of ground and leaves a strip between them.

Neighbouring places look alike, so that a split at random would test what was trained on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssl_platform.data.facts import Facts
from ssl_platform.data.groups import union_by
from ssl_platform.data.names import counted
from ssl_platform.errors import ConfigError, DataError
from ssl_platform.types import Row, Scalar

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(m|km)")
_METRES = {"m": 1.0, "km": 1000.0}
EARTH = 6_371_008.8  # mean radius in metres (IUGG)


@dataclass(frozen=True)
class Blocks:
    """Side of the blocks and least distance between parts, in metres."""

    side: float
    gap: float = 0.0


def parse_blocks(text: str) -> Blocks:
    """Read `600m,gap=100m` (metres or `km`).

    Raises:
        ConfigError: it has another form.
    """
    side, _, gap = text.replace(" ", "").partition(",")
    lengths = []
    for part in (side, gap.removeprefix("gap=") if gap else "0m"):
        found = _LENGTH.fullmatch(part)
        if not found or (gap and not gap.startswith("gap=")):
            raise ConfigError(f"labels.blocks={text} is not of the form 600m,gap=100m (m or km)")
        lengths.append(float(found[1]) * _METRES[found[2]])
    if not lengths[0]:
        raise ConfigError(f"labels.blocks={text} needs a side above zero")
    return Blocks(*lengths)


def places(rows: Sequence[Row], facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Centre `[n, 2]` and half extent `[n, 2]` of every entry in metres; nan where a row has no place.

    A row's `meta` holds `x` and `y` (metres in its projection) or `lon` and `lat` (degrees) of the item's centre. Half
    extents come from its shape and spacing, along the last two axes, y before x.
    """
    centre = np.full((len(rows), 2), math.nan)
    half = np.zeros((len(rows), 2))
    for i, row in enumerate(rows):
        x, y = _number(row.meta.get("x")), _number(row.meta.get("y"))
        if math.isnan(x) or math.isnan(y):
            lon, lat = (math.radians(_number(row.meta.get(name))) for name in ("lon", "lat"))
            # Sinusoidal projection: equal area, and distances along a parallel are true.
            x, y = EARTH * lon * math.cos(lat), EARTH * lat
        centre[i] = x, y
        if len(row.spacing) >= 2 and len(row.shape) == len(row.spacing):
            half[i] = row.shape[-1] * row.spacing[-1] / 2, row.shape[-2] * row.spacing[-2] / 2
    return centre[facts.row], half[facts.row]


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def block_groups(rows: Sequence[Row], facts: Facts, blocks: Blocks) -> tuple[tuple[str, ...], str]:
    """The block of each entry as its group; blocks that share a known group (a place seen twice) are one.

    Returns:
        Group names and the line to print.

    Raises:
        DataError: labelled rows have no place.
    """
    centre, _ = places(rows, facts)
    lost = np.flatnonzero(np.isnan(centre).any(axis=1) & facts.labelled)
    if len(lost):
        raise DataError(
            f"labels.blocks needs places, and {facts.id[int(lost[0])]!r} has neither x, y nor lon, lat: "
            "add the columns or leave labels.blocks out"
        )
    cells = np.floor(np.nan_to_num(centre) / blocks.side).astype(np.int64)
    zones = [str(rows[r].meta.get("crs") or "") for r in facts.row.tolist()]
    names = [f"block {x},{y}{' ' + zone if zone else ''}" for (x, y), zone in zip(cells.tolist(), zones, strict=True)]
    known = facts.group if facts.group_rule != "file" else facts.id
    unions = union_by([("block", b), ("group", g)] for b, g in zip(names, known, strict=True))
    of_set: dict[object, str] = {}
    roots = [unions.find(("block", name)) for name in names]
    for root, name in zip(roots, names, strict=True):
        of_set[root] = min(of_set.get(root, name), name)
    made = tuple(of_set[root] for root in roots)
    return made, f"groups: {counted(len(set(made)), 'block')} of {blocks.side:g} m"


def drop_gap(rows: Sequence[Row], facts: Facts, codes: np.ndarray, blocks: Blocks) -> tuple[np.ndarray, str]:
    """Leave out train entries nearer than the gap to val or test, and val entries nearer than it to test.

    Returns:
        New `[folds, n]` parts and the line to print.
    """
    centre, half = places(rows, facts)
    codes = codes.copy()
    dropped = 0
    for fold in codes:
        for code, others in ((2, (3,)), (1, (2, 3))):
            near = _near(centre, half, np.flatnonzero(fold == code), np.flatnonzero(np.isin(fold, others)), blocks.gap)
            fold[near] = 0
            dropped += len(near)
    return codes, f"split: {counted(dropped, 'entry', 'entries')} nearer than {blocks.gap:g} m to another part left out"


def _near(centre: np.ndarray, half: np.ndarray, some: np.ndarray, others: np.ndarray, gap: float) -> np.ndarray:
    """Those of `some` whose box comes nearer than `gap` to the box of one of `others`."""
    if not len(some) or not len(others):
        return some[:0]
    # Cells as wide as the farthest that two centres can be apart: only the nine around an entry matter.
    width = gap + 2 * float(half[np.concatenate([some, others])].max())
    if width <= 0:
        return some[:0]
    cells: dict[tuple[int, int], list[int]] = {}
    for j, (x, y) in zip(others.tolist(), np.floor(centre[others] / width).astype(np.int64).tolist(), strict=True):
        cells.setdefault((x, y), []).append(j)
    own: dict[tuple[int, int], list[int]] = {}
    for i, (x, y) in zip(some.tolist(), np.floor(centre[some] / width).astype(np.int64).tolist(), strict=True):
        own.setdefault((x, y), []).append(i)
    found: list[np.ndarray] = []
    for (x, y), members in own.items():
        around = [j for dx in (-1, 0, 1) for dy in (-1, 0, 1) for j in cells.get((x + dx, y + dy), ())]
        if not around:
            continue
        apart = np.abs(centre[members][:, None] - centre[around]) - half[members][:, None] - half[around]
        distance = np.hypot(*np.moveaxis(np.maximum(apart, 0), -1, 0))
        # Boxes that touch (gap reached exactly) are allowed; overlapping ones never are.
        too_near = (distance < gap) | (apart < 0).all(axis=-1)
        found.append(np.array(members)[too_near.any(axis=1)])
    return np.concatenate(found) if found else some[:0]
