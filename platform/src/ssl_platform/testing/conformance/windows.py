"""Checks of placing and reading windows: shapes and determinism."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import cast

import numpy as np

from ssl_platform.plan import Reads, Relation
from ssl_platform.testing.conformance.check import Check, Violation, checks_of, one_line
from ssl_platform.testing.conformance.subject import DomainUnderTest
from ssl_platform.types import Batch, Part, PartBatch, Row, Window

ROWS = 6
"""Items looked at one by one."""


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's windows."""
    yield from checks_of(
        domain,
        ("windows.place", "place() gives windows of the size asked for, where the draws say", placed),
        ("windows.read", "a window is read as parts of the right shapes, with validity and names", shapes),
        ("windows.repeat", "the same window holds the same values, also from a copy of the domain", repeat),
        ("windows.cover", "cover() gives the same windows each time, one where one is asked for", cover),
        ("windows.related", "every relation of the layout can be read", related),
    )


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
