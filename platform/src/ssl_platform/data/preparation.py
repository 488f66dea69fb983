"""Reading the content of a whole set before a run: items that cannot be read or are absurd are named.

`prepare` fills the cache on the way, `verify` keeps nothing.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.quarantine import one_line
from ssl_platform.errors import RunFailed, SslPlatformError, Unreadable
from ssl_platform.types import Row

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

_GROUP = 16

Outcome = Mapping[str, float] | str | SslPlatformError
Progress = Callable[[int, int], None]


@dataclass
class Preparation:
    """What reading a set found.

    Attributes:
        prepared: number of items that can be read.
        unreadable: why the content of an item cannot be read although its header can, by its place in the catalog.
        odd: one line for each item whose values are absurd, by id. They are used all the same.
    """

    prepared: int = 0
    unreadable: dict[int, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)


def prepare(catalog: Catalog, domain: Domain, *, workers: int = 0, progress: Progress | None = None) -> Preparation:
    """Put every item into the cache that is not there yet, and look at the values of all.

    Args:
        catalog: items.
        domain: prepares them; it has its cache.
        workers: processes; 0 prepares here.
        progress: called with the number of items done and of all.

    Raises:
        CacheError: the cache cannot be written.
        RunFailed: a process was killed.
    """
    return _gather(catalog, domain, _prepared(_groups(catalog), domain, workers), progress)


def verify(
    catalog: Catalog, domain: Domain, *, workers: int | None = None, progress: Progress | None = None
) -> Preparation:
    """Read every item to its end and look at its values, keeping nothing.

    Args:
        catalog: items.
        domain: verifies them, from several threads at once.
        workers: threads; None for up to four.
        progress: called with the number of items done and of all.
    """
    with ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1)) as pool:
        verified = (pool.map(lambda row: _outcome(row, domain.verify), rows) for rows in _groups(catalog))
        return _gather(catalog, domain, verified, progress)


def _gather(
    catalog: Catalog, domain: Domain, outcomes: Iterable[Iterable[Outcome]], progress: Progress | None
) -> Preparation:
    """What the outcomes of all items, group by group in order, say of the set."""
    result, facts = Preparation(), dict[str, Mapping[str, float]]()
    done = 0
    for group in outcomes:
        for outcome in group:
            if isinstance(outcome, SslPlatformError):
                raise outcome
            if isinstance(outcome, str):
                result.unreadable[done] = outcome
            else:
                row = catalog.row(done)
                result.prepared += 1
                if outcome:
                    facts[row.id] = outcome
                    why = domain.checks(row, outcome)
                    if why:
                        result.odd[row.id] = why
            done += 1
        if progress:
            progress(done, len(catalog))
    result.odd = {**domain.unlike(facts), **result.odd}
    return result


def _prepared(groups: Iterable[Sequence[Row]], domain: Domain, workers: int) -> Iterator[list[Outcome]]:
    """For each group its items' facts, or why they cannot be read; in order."""
    if workers == 0:
        yield from (_prepare(rows, domain) for rows in groups)
        return
    groups = list(groups)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_prepare, groups, [domain] * len(groups))
        except BrokenProcessPool:
            raise RunFailed("a process that prepared items was killed: out of memory? lower data.workers") from None


def _prepare(rows: Sequence[Row], domain: Domain) -> list[Outcome]:
    """Facts of some items (in a worker)."""
    cache = domain.cache
    assert cache is not None
    return [_outcome(row, lambda row: cache.open(row, domain).facts) for row in rows]


def _outcome(row: Row, read: Callable[[Row], Mapping[str, float]]) -> Outcome:
    """Facts of an item; errors are values, so that their one line survives the way back."""
    try:
        return read(row)
    except Exception as error:
        if isinstance(error, SslPlatformError) and not isinstance(error, Unreadable):
            return error
        if isinstance(error, MemoryError):
            raise
        return one_line(error)


def _groups(catalog: Catalog) -> Iterator[list[Row]]:
    for start in range(0, len(catalog), _GROUP):
        yield [catalog.row(i) for i in range(start, min(start + _GROUP, len(catalog)))]
