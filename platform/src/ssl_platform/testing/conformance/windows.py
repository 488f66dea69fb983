"""Checks of placing and reading windows: shapes, determinism, recorded place, resume."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ssl_platform.data.loader import Loader
from ssl_platform.plan import Reads, Relation
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, one_line
from ssl_platform.testing.conformance.subject import BATCH, DomainUnderTest
from ssl_platform.types import Batch, Part, PartBatch, Row, Window

ROWS = 6
"""Items looked at one by one."""
LIKE = 0.25
"""Least part of the spread by which the same place, read twice, may differ: readers that resample differ at borders."""


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's windows."""
    for name, about, run in (
        ("windows.place", "place() gives windows of the size asked for, where the draws say", placed),
        ("windows.read", "a window is read as parts of the right shapes, with validity and names", shapes),
        ("windows.repeat", "the same window holds the same values, also from a copy of the domain", repeat),
        ("windows.origin", "where two windows overlap by their recorded place, they hold the same values", origin),
        ("windows.cover", "cover() gives the same windows each time, one where one is asked for", cover),
        ("windows.related", "every relation of the layout can be read", related),
        ("windows.batches", "positions of a run give the same batches again", again),
        ("windows.workers", "two worker processes, started afresh, give the batches of none", workers),
        ("windows.resume", "starting at a position gives what follows it in a run from the start", resume),
    ):
        yield Check(name, domain.subject, about, functools.partial(run, domain))


def _rows(domain: DomainUnderTest) -> list[Row]:
    return domain.opened.rows[:ROWS]


def _uniforms(domain: DomainUnderTest, count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, domain.layout.rank + 2))


def placed(domain: DomainUnderTest) -> str:
    """`Domain.place` as a function of its uniforms."""
    ours, window = domain.domain, domain.window
    different, able = set(), False
    for row in _rows(domain):
        able |= domain.layout.points or any(n > w for n, w in zip(row.shape, window, strict=True))
        for numbers in (
            *_uniforms(domain, 6),
            np.zeros(domain.layout.rank + 2),
            np.full(domain.layout.rank + 2, 1 - 1e-9),
        ):
            first, second = (ours.place(row, window, numbers.copy()) for _ in range(2))
            if first != second:
                raise Violation(
                    f"place() of {row.id} gives {first.start}, then {second.start} for the same numbers",
                    "draw from `uniforms` alone: never from numpy's or Python's global generator, time or hash()",
                )
            if tuple(first.size) != tuple(window):
                raise Violation(
                    f"place() gives a window of {first.size}, asked for {window}", "return Window(start, size)"
                )
            if any(a >= n or a + s <= 0 for a, s, n in zip(first.start, first.size, row.shape, strict=True)):
                raise Violation(
                    f"place() puts a window at {first.start} of an item of shape {row.shape}", "stay within the item"
                )
            different.add((row.id, first.start))
    if able and len(different) == len(_rows(domain)) and not domain.layout.points:
        raise Violation("place() gives one window an item whatever the numbers", "use `uniforms` to choose the start")
    return f"{len(different)} places"


def shapes(domain: DomainUnderTest) -> str:
    """Parts as a worker hands them over, and as views get them."""
    layout, window = domain.layout, domain.window
    for row in _rows(domain):
        parts = _read(domain, row, domain.domain.place(row, window, _uniforms(domain, 1)[0]))
        if "main" not in parts:
            raise Violation(f"read() gives the parts {sorted(parts)}", "the data is the part 'main'")
        for name, part in parts.items():
            _check_part(name, part, row, domain)
    batch = front_end(domain, domain.batches()[0])
    rank = layout.rank + 2 if not layout.points else 3
    if batch.data.ndim != rank:
        raise Violation(
            f"a batch has the shape {tuple(batch.data.shape)}", f"after front_end() the axes are B {layout.axes}"
        )
    size = tuple(batch.data.shape[1:2] if layout.points else batch.data.shape[2:])
    if size != tuple(window):
        raise Violation(f"a window of {window} is read as {size}", "read() gives the cells of the window, filled up")
    if batch.valid is not None and not batch.valid.flatten(1).any(1).all():
        raise Violation("a window holds no valid cell at all", "place() and cover() choose places with data")
    return f"{batch.data.dtype}, {'x'.join(str(n) for n in batch.data.shape)}".replace("torch.", "")


def _check_part(name: str, part: Part, row: Row, domain: DomainUnderTest) -> None:
    said, points, rank = f"read() of {row.id}: part {name!r}", domain.layout.points, domain.layout.rank
    data = part.data
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "iufb":
        raise Violation(f"{said} is {type(data).__name__} of {getattr(data, 'dtype', '?')}", "return a numpy array")
    channels = data.shape[-1 if points else 0]
    if part.channels and len(part.channels) != channels:
        raise Violation(f"{said} has {channels} channels and {len(part.channels)} names", "name each channel once")
    if name == "main" and not part.channels:
        raise Violation(f"{said} names no channels", "Part(channels=row.channels)")
    expected = data.shape[:1] if points else data.shape[1:]
    if part.valid is not None and (part.valid.dtype != bool or part.valid.shape != expected):
        raise Violation(
            f"{said} has validity {part.valid.shape} of {part.valid.dtype}", f"give bool of the shape {expected}"
        )
    for word, value in (("spacing", part.spacing), ("origin", part.origin)):
        if value and len(value) != rank:
            raise Violation(f"{said} has {word}={value}", f"give {rank} numbers, one a spatial axis")


def repeat(domain: DomainUnderTest) -> None:
    """Reading is a function of row and window."""
    try:
        copy = pickle.loads(pickle.dumps(domain.domain))
    except Exception as error:
        raise Violation(
            f"the domain cannot be copied to a worker: {one_line(error)}",
            "keep open files and locks out of its attributes, or leave them out in __getstate__",
        ) from error
    for row in _rows(domain):
        window = domain.domain.place(row, domain.window, _uniforms(domain, 1)[0])
        first, *others = (_read(domain, row, window), _read(domain, row, window), copy.read(row, window))
        for other in others:
            if not _same(first, other):
                raise Violation(
                    f"read() of {row.id} gives other values the second time",
                    "what is drawn while reading derives from window.key; return new arrays, never a shared buffer",
                )


def _read(domain: DomainUnderTest, row: Row, window: Window) -> dict[str, Part]:
    return domain.domain.read(row, window)


def _same(first: dict[str, Part], second: dict[str, Part]) -> bool:
    def equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
        return (a is None and b is None) or (
            a is not None and b is not None and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )

    return first.keys() == second.keys() and all(
        equal(first[name].data, second[name].data)
        and equal(first[name].valid, second[name].valid)
        and (first[name].origin, first[name].spacing) == (second[name].origin, second[name].spacing)
        for name in first
    )


def front_end(domain: DomainUnderTest, batch: Batch) -> PartBatch:
    """The main part in the layout's axes, as views are cut from it."""
    part = batch.reads[0]["main"]
    for operation in domain.domain.views():
        part = operation.front_end(part)
    return part


def origin(domain: DomainUnderTest) -> str:
    """Two windows a few cells apart, along each axis that leaves room."""
    if domain.layout.points:
        raise NotApplicable("points carry their own coordinates")
    window, axes = domain.window, set()
    for row in _rows(domain)[:3]:
        for axis, (n, w) in enumerate(zip(row.shape, window, strict=True)):
            if n < w + 2:
                continue
            step = min(max(2, w // 4), n - w)
            low = [max(0, (n - w) // 2) for n, w in zip(row.shape, window, strict=True)]
            low[axis] = 0
            high = [start + (step if a == axis else 0) for a, start in enumerate(low)]
            reads = [_batched(domain, row, Window(tuple(start), window)) for start in (low, high)]
            _compare_shifted(domain, row, axis, step, *reads)
            axes.add(domain.layout.spatial[axis])
    if not axes:
        raise NotApplicable("no item is larger than a window")
    return f"along {', '.join(sorted(axes))}"


def _batched(domain: DomainUnderTest, row: Row, window: Window) -> PartBatch:
    from ssl_platform.data.collate import collate
    from ssl_platform.types import Sample

    channels = domain.opened.catalog.channels if domain.layout.ragged_channels else ()
    meta = dict.fromkeys(domain.layout.meta, 0.0)
    sample = Sample(0, (_read(domain, row, window),), meta=meta)
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


def cover(domain: DomainUnderTest) -> str:
    """`Domain.cover`, which embedding and scoring rely on."""
    ours, total = domain.domain, 0
    for row in _rows(domain):
        first, second = (list(ours.cover(row, domain.window)) for _ in range(2))
        one = list(ours.cover(row, domain.window, whole=False))
        if first != second:
            raise Violation(f"cover() of {row.id} differs the second time", "derive the windows from the row alone")
        if not first or len(one) != 1:
            raise Violation(
                f"cover() of {row.id} gives {len(first)} windows, and {len(one)} where one is asked for",
                "give at least one; exactly one with whole=False",
            )
        if any(tuple(w.size) != tuple(domain.window) for w in [*first, *one]):
            raise Violation(f"cover() of {row.id} gives a window of another size", "Window(start, size)")
        total += len(first)
    return f"{total} windows"


def related(domain: DomainUnderTest) -> str:
    """Two reads under each relation."""
    done, rank = [], domain.layout.rank
    for relation in cast(tuple[Relation, ...], domain.layout.relations):
        if relation == "table":
            continue
        for row in _rows(domain):
            reads = Reads(count=2, relation=relation)
            numbers = np.random.default_rng(1).random((2, rank + 2))
            found = list(domain.domain.among(domain.opened.catalog).related(row, reads, domain.window, numbers))
            if len(found) != 2 or any(tuple(w.size) != tuple(domain.window) for _, w in found):
                raise Violation(
                    f"related({relation!r}) of {row.id} gives {len(found)} windows of {[w.size for _, w in found]}",
                    "give one (row, window) a read, of the size asked for",
                )
            for source, window in found:
                _check_part("main", _read(domain, source, window)["main"], source, domain)
        done.append(relation)
    return ", ".join(done)


def again(domain: DomainUnderTest) -> None:
    """Two passes of the loader."""
    source = iter(domain.loader())
    for first in domain.batches():
        _must_equal(first, next(source), "the same positions, read again, give other batches")


def workers(domain: DomainUnderTest) -> None:
    """Spawned workers import everything anew."""
    loader = domain.loader(workers=2, start_method="spawn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's advice where fewer CPUs than workers are granted
        for own, theirs in zip(domain.batches(), loader, strict=False):
            _must_equal(own, theirs, "two workers give other batches than none")


def resume(domain: DomainUnderTest) -> None:
    """A loader that starts in the middle."""
    loader: Loader = domain.loader(start=BATCH)
    _must_equal(domain.batches()[1], next(iter(loader)), f"starting at position {BATCH} gives another batch")
    if loader.position != 2 * BATCH:
        raise Violation(f"the loader stands at position {loader.position}", "this is the platform's own: report it")


def _must_equal(first: Batch, second: Batch, told: str) -> None:
    pairs: list[tuple[str, Tensor | None, Tensor | None]] = [
        ("index", first.index, second.index),
        ("position", first.position, second.position),
        ("group", first.group, second.group),
    ]
    for name, part in first.reads[0].items():
        other = second.reads[0][name]
        pairs += [
            (f"values of {name!r}", part.data, other.data),
            (f"validity of {name!r}", part.valid, other.valid),
            (f"origin of {name!r}", part.origin, other.origin),
        ]
    for what, a, b in pairs:
        same = (a is None and b is None) or (
            a is not None and b is not None and a.shape == b.shape and torch.equal(_bits(a), _bits(b))
        )
        if not same:
            raise Violation(
                f"{told} (their {what})",
                "place() and read() depend on row, window and `uniforms` alone, and on nothing kept between calls",
            )


def _bits(x: Tensor) -> Tensor:
    return x.nan_to_num(nan=0.125) if x.is_floating_point() else x
