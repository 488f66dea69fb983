"""Checks of batches: the same positions give the same ones, whoever reads them and wherever a run starts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from ssl_platform.data.loader import Loader
from ssl_platform.testing.conformance.check import Check, Violation, checks_of
from ssl_platform.testing.conformance.subject import BATCH, DomainUnderTest
from ssl_platform.types import Batch


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's batches."""
    yield from checks_of(
        domain,
        ("windows.batches", "positions of a run give the same batches again", again),
        ("windows.workers", "two worker processes, started afresh, give the batches of none", workers),
        ("windows.resume", "starting at a position gives what follows it in a run from the start", resume),
    )


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
