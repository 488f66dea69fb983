"""Preparing a whole set before a run: the cache is filled, items that cannot be read or are absurd are named."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.quarantine import Quarantined, one_line
from ssl_platform.errors import RunFailed, SslPlatformError, Unreadable
from ssl_platform.types import Row

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

_GROUP = 16


@dataclass
class Preparation:
    """What preparing found.

    Attributes:
        prepared: number of items in the cache.
        quarantined: items whose content cannot be read although their header can.
        odd: one line for each item whose values are absurd, by id. They are used all the same.
    """

    prepared: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    odd: dict[str, str] = field(default_factory=dict)


def prepare(
    catalog: Catalog,
    domain: Domain,
    *,
    workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Preparation:
    """Put every item into the cache that is not there yet, and look at the values of all.

    Args:
        catalog: items.
        domain: prepares them; it has its cache.
        workers: processes; 0 prepares here.
        progress: called with the number of items done.

    Raises:
        CacheError: the cache cannot be written.
        RunFailed: a process was killed.
    """
    result, facts = Preparation(), dict[str, Mapping[str, float]]()
    done = 0
    for rows, outcomes in _outcomes(list(_groups(catalog)), domain, workers):
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, SslPlatformError):
                raise outcome
            if isinstance(outcome, str):
                result.quarantined.append(Quarantined(row.path, outcome))
                continue
            result.prepared += 1
            facts[row.id] = outcome
            why = domain.checks(row, outcome)
            if why:
                result.odd[row.id] = why
        done += len(rows)
        if progress:
            progress(done)
    result.odd = {**domain.unlike(facts), **result.odd}
    return result


Outcome = dict[str, float] | str | SslPlatformError


def _outcomes(
    groups: Sequence[Sequence[Row]], domain: Domain, workers: int
) -> Iterator[tuple[Sequence[Row], list[Outcome]]]:
    """For each group its items' facts, or why they cannot be read; in order."""
    if workers == 0:
        yield from ((rows, _prepare(rows, domain)) for rows in groups)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from zip(groups, pool.map(_prepare, groups, [domain] * len(groups)), strict=True)
        except BrokenProcessPool:
            raise RunFailed("a process that prepared items was killed: out of memory? lower data.workers") from None


def _prepare(rows: Sequence[Row], domain: Domain) -> list[Outcome]:
    """Facts of some items (in a worker); errors are values, so that their one line survives the way back."""
    assert domain.cache is not None
    outcomes: list[Outcome] = []
    for row in rows:
        try:
            outcomes.append(domain.cache.open(row, domain).facts)
        except Exception as error:
            if isinstance(error, SslPlatformError) and not isinstance(error, Unreadable):
                outcomes.append(error)
            elif isinstance(error, MemoryError):
                raise
            else:
                outcomes.append(one_line(error))
    return outcomes


def _groups(catalog: Catalog) -> Iterator[list[Row]]:
    for start in range(0, len(catalog), _GROUP):
        yield [catalog.row(i) for i in range(start, min(start + _GROUP, len(catalog)))]
