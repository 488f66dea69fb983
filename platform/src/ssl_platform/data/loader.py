"""The endless training loader: every batch is a function of (seed, position), whoever reads it.

The same positions give the same batches for any number of workers, after a restart, and, put together, for any number
of ranks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.collate import collate
from ssl_platform.data.delivery import Delivery, Waiting, deliver
from ssl_platform.data.quarantine import MaxBad, largest_fraction
from ssl_platform.data.reader import Reader, Substitute
from ssl_platform.data.schedule import Schedule
from ssl_platform.errors import RunFailed
from ssl_platform.plan import Plan
from ssl_platform.types import Batch

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

_FEW = 8
_CHANCE = 4.0
"""Standard deviations by which failures may exceed the limit, so that an unlucky stretch does not end a run."""


class _Make:
    """Makes delivery `m`; picklable, so that workers may be spawned."""

    def __init__(self, reader: Reader, schedule: Schedule, channels: Sequence[str], settled: Mapping[int, int]) -> None:
        self.reader, self.schedule = reader, schedule
        self.channels, self.settled = tuple(channels), dict(settled)

    def __call__(self, m: int) -> Delivery:
        samples, substitutes = self.reader.micro_batch(self.schedule.at(m), self.schedule, self.settled)
        return Delivery(collate(samples, self.reader.domain.layout, self.channels), substitutes)


class Loader:
    """Micro-batches of one rank, without end.

    Iterating again goes on where the last iteration stopped.

    Args:
        catalog: items to train on.
        domain: reads them; give it a cache first (`domain.cache`) if it prepares items.
        plan: what the objective needs: its reads, whether identities are stable, whether it may see labels.
        window: cells along each spatial axis.
        batch_size: samples of one rank's micro-batch.
        seed: of the run.
        start: first position of the run that is still to come.
        rank, world: this process and the number of them.
        workers: reader processes.
        windows_per_item: slots of each item (`data.windows_per_item`).
        labels: as `Reader` takes them; served only where the plan asks for labels.
        sources: weight of each source (`data.sources`).
        substitutes: those of the run so far, which replayed positions must meet again.
        max_bad_fraction: stop when clearly more of what was read so far had to be replaced.
        tell: called with what had to be replaced, as batches with replacements are handed out.
        pin: page-locked memory, for GPUs.
        start_method: of the workers; None for the system's default.

    Attributes:
        position: first position not handed out yet; what a checkpoint stores (the batches handed out may be more than
            were trained on: then store your own count).
        substitutes: items that could not be read, of this run and those given.
    """

    def __init__(
        self,
        catalog: Catalog,
        domain: Domain,
        plan: Plan,
        *,
        window: Sequence[int],
        batch_size: int,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        windows_per_item: int = 1,
        labels: np.ndarray | None = None,
        sources: Mapping[str, float] | None = None,
        substitutes: Sequence[Substitute] = (),
        max_bad_fraction: MaxBad = "auto",
        tell: Callable[[Sequence[Substitute]], None] | None = None,
        pin: bool = False,
        start_method: str | None = None,
    ) -> None:
        self.position = start
        self.substitutes = list(substitutes)
        self._catalog, self._domain, self._plan = catalog, domain, plan
        self._batch, self._seed, self._rank, self._world = batch_size, seed, rank, world
        self._windows_per_item, self._sources = windows_per_item, sources
        self._workers, self._pin, self._start_method = workers, pin, start_method
        self._limit, self._tell = largest_fraction(max_bad_fraction, len(catalog)), tell
        self._waiting = Waiting()
        self._read = self._failed = 0
        self._reader = Reader(
            catalog,
            domain,
            plan.reads,
            window,
            seed,
            windows_per_item=windows_per_item,
            stable=plan.stable,
            labels=labels if plan.labels else None,
        )
        self._schedule()  # what is wrong with the catalog or the weights is told now

    def _schedule(self) -> Schedule:
        return Schedule(
            self._catalog,
            self._batch,
            self._seed,
            windows_per_item=self._windows_per_item,
            world=self._world,
            rank=self._rank,
            start=self.position,
            ragged=self._domain.layout.ragged_channels,
            sources=self._sources,
        )

    @property
    def wait_seconds(self) -> float:
        """Seconds spent waiting for data so far."""
        return self._waiting.seconds

    @property
    def positions_per_epoch(self) -> int:
        """Positions in one pass over the data: items times windows of each."""
        return len(self._catalog) * self._windows_per_item

    def __iter__(self) -> Iterator[Batch]:
        settled = {substitute.position: substitute.index for substitute in self.substitutes}
        channels = self._catalog.channels if self._domain.layout.ragged_channels else ()
        make = _Make(self._reader, self._schedule(), channels, settled)
        for delivery in deliver(
            make,
            itertools.count(),
            workers=self._workers,
            pin=self._pin,
            start_method=self._start_method,
            waiting=self._waiting,
        ):
            assert delivery.batch is not None
            self.position += self._batch * self._world
            self._note(delivery.substitutes)
            yield delivery.batch

    def _note(self, substitutes: Sequence[Substitute]) -> None:
        """Remember and tell what failed; stop when it is too much.

        Raises:
            RunFailed: more failed than `data.max_bad_fraction` allows.
        """
        self.substitutes += substitutes
        self._read += self._batch + len(substitutes)
        self._failed += len(substitutes)
        if substitutes and self._tell is not None:
            self._tell(substitutes)
        allowed = self._limit * self._read
        if self._failed > allowed + max(_FEW, _CHANCE * math.sqrt(allowed)):
            last = self.substitutes[-1]
            raise RunFailed(
                f"{self._failed} of {self._read} reads failed, more than "
                f"data.max_bad_fraction={self._limit:.2g} allows; the last {last.failed}: {last.reason}"
            )
