"""The check that the recorded place of a window is where its values come from."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ssl_platform.errors import DataError
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, checks_of
from ssl_platform.testing.conformance.subject import DomainUnderTest
from ssl_platform.testing.conformance.windows import front_end
from ssl_platform.types import PartBatch, Row, Window

LIKE = 0.25
"""Least part of the spread by which the same place, read twice, may differ: readers that resample differ at borders."""
_FEW = 8
"""Cells an item must have along an axis for two windows of half of it."""


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """The check of one domain."""
    yield from checks_of(
        domain,
        ("windows.origin", "where two windows overlap by their recorded place, they hold the same values", origin),
    )


def origin(domain: DomainUnderTest) -> str:
    """Two windows a few cells apart, along each axis that leaves room."""
    if domain.layout.points:
        raise NotApplicable("points carry their own coordinates")
    axes = set()
    for row in domain.opened.rows[:3]:
        for axis, n in enumerate(row.shape):
            window = _with_room(row, domain.window, axis)
            if window is None:
                continue
            step = min(max(2, window[axis] // 4), n - window[axis])
            low = [max(0, (n - w) // 2) for n, w in zip(row.shape, window, strict=True)]
            low[axis] = 0
            high = [start + (step if a == axis else 0) for a, start in enumerate(low)]
            try:
                reads = [_batched(domain, row, Window(tuple(start), window)) for start in (low, high)]
            except DataError:
                if window == tuple(domain.window):
                    raise
                continue  # a domain may refuse to read less than all along an axis, as of mel bins
            _compare_shifted(domain, row, axis, step, *reads)
            axes.add(domain.layout.spatial[axis])
    if not axes:
        raise NotApplicable("items are too small for two windows")
    return f"along {', '.join(sorted(axes))}"


def _with_room(row: Row, window: tuple[int, ...], axis: int) -> tuple[int, ...] | None:
    """The window, half the item along `axis` where it leaves no room to move there; None in items of a few cells."""
    n = row.shape[axis]
    if n >= window[axis] + 2:
        return tuple(window)
    if n < _FEW:
        return None
    return tuple(n // 2 if a == axis else w for a, w in enumerate(window))


def _batched(domain: DomainUnderTest, row: Row, window: Window) -> PartBatch:
    from ssl_platform.data.collate import collate
    from ssl_platform.types import Sample

    channels = domain.opened.catalog.channels if domain.layout.ragged_channels else ()
    meta = dict.fromkeys(domain.layout.meta, 0.0)
    sample = Sample(0, (domain.domain.read(row, window),), meta=meta)
    return front_end(domain, collate([sample], domain.layout, channels))


def _compare_shifted(
    domain: DomainUnderTest, row: Row, axis: int, step: int, first: PartBatch, second: PartBatch
) -> None:
    """Values of the second window lie `step` cells further along `axis`, and so does its recorded origin."""
    moved = (second.origin - first.origin)[0] / first.spacing[0]
    wanted = torch.zeros_like(moved)
    wanted[axis] = step
    if not torch.allclose(moved, wanted, atol=0.01):
        raise Violation(
            f"windows of {row.id} that start {step} cells apart along {domain.layout.spatial[axis]} have recorded "
            f"origins {[round(float(v), 2) for v in moved]} cells apart",
            "Part(origin=) is window.start times spacing, the first cell's edge in the item",
        )
    size = first.data.shape[2 + axis] - step
    a, b = (part.data.double().narrow(2 + axis, start, size) for part, start in ((first, step), (second, 0)))
    valid = torch.ones_like(a[:, :1], dtype=torch.bool)
    for part, start in ((first, step), (second, 0)):
        if part.valid is not None:
            valid &= part.valid[:, None].narrow(2 + axis, start, size)
    valid = valid.expand_as(a) & a.isfinite() & b.isfinite()
    if not valid.any():
        return
    apart, spread = (a - b)[valid].abs().mean(), a[valid].std()
    if apart > LIKE * spread + 1e-6:
        raise Violation(
            f"windows of {row.id} that overlap by their recorded place differ there by {float(apart):.3g}, where the "
            f"values spread by {float(spread):.3g}",
            "read the cells the window names: check the order of axes, flips and the start along each axis",
        )
