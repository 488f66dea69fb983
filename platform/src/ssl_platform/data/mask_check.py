"""Masks as they are read: on the grid of their image, readable, and with which classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssl_platform.data.facts import Facts
from ssl_platform.data.names import counted
from ssl_platform.errors import DataError, LabelError, Misfit, Unreadable
from ssl_platform.types import Row


@dataclass(frozen=True)
class CheckedMasks:
    """Masks that may be trained on.

    Attributes:
        facts: with the masks that do not fit taken out, and classes filled in.
        quarantined: path of each mask that does not fit its image, with the reason.
        cells: cells of each class over all masks, by mask value.
    """

    facts: Facts
    quarantined: dict[str, str]
    cells: Mapping[int, int]


def check_masks(
    rows: Sequence[Row], facts: Facts, read: Callable[[Row, Path], np.ndarray], ignore: int = 255
) -> CheckedMasks:
    """Read every mask once.

    Args:
        rows: the catalog.
        facts: with masks.
        read: the domain's `read_mask`.
        ignore: `labels.ignore`, a value that is no class.

    Raises:
        DataError: a mask cannot be read, or none fits its image.
        LabelError: all masks hold one value.
    """
    quarantined: dict[str, str] = {}
    cells: dict[int, int] = {}
    masks = list(facts.mask)
    outcome: dict[tuple[int, str], str | frozenset[int]] = {}
    values: list[frozenset[int]] = [frozenset()] * len(masks)
    for entry, path in enumerate(facts.mask):
        pair = (int(facts.row[entry]), path)
        if path and pair not in outcome:
            outcome[pair] = _count(rows[pair[0]], Path(path), read, cells)
        found = outcome.get(pair, frozenset())
        if isinstance(found, str):
            masks[entry], quarantined[path] = "", found
        else:
            values[entry] = found - {ignore}
    if any(facts.mask) and not any(masks):
        path, why = next(iter(quarantined.items()))
        raise DataError(f"no mask fits its image: {path}: {why}")
    cells.pop(ignore, None)
    facts = replace(facts, mask=tuple(masks), values=tuple(values))
    return CheckedMasks(_with_classes(facts, cells, quarantined), quarantined, cells)


def _count(
    row: Row, path: Path, read: Callable[[Row, Path], np.ndarray], cells: dict[int, int]
) -> str | frozenset[int]:
    """Add a mask's values to the counts and return which they are, or say why it does not fit."""
    try:
        values, counts = np.unique(read(row, path), return_counts=True)
    except Misfit as error:
        return error.why
    except (Unreadable, OSError, ValueError, EOFError) as error:
        why = error.why if isinstance(error, Unreadable) else str(error)
        raise DataError(f"mask {path} of {row.id!r} cannot be read ({why}): correct it, or leave it out") from error
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        cells[int(value)] = cells.get(int(value), 0) + int(count)
    return frozenset(int(value) for value in values)


def _with_classes(facts: Facts, cells: Mapping[int, int], quarantined: Mapping[str, str]) -> Facts:
    """Facts whose layout names every value that occurs."""
    layout = facts.layout
    if layout is None or layout.kind != "segmentation" or not cells:
        return facts
    if len(cells) < 2:
        raise LabelError(f"the masks hold one value only ({next(iter(cells))}): a task needs at least two")
    known = dict(zip(layout.values, layout.classes, strict=True))
    named = {value: known.get(value, f"{value}") for value in sorted(cells.keys() | known.keys())}
    layout = replace(layout, classes=tuple(named.values()), values=tuple(named))
    notes = [layout.line()]
    if quarantined:
        path, why = next(iter(quarantined.items()))
        notes.append(f"masks: {counted(len(quarantined), 'mask')} not used, such as {path}: {why}")
    return replace(facts, layout=layout, notes=(*facts.notes, *notes))
