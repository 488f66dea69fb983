"""One pass over the items in order, clean windows, each once: to embed a set, refresh a bank, watch a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.collate import collate
from ssl_platform.data.delivery import Delivery, deliver
from ssl_platform.data.quarantine import one_line
from ssl_platform.data.reader import Reader, Substitute
from ssl_platform.errors import SslPlatformError, Unreadable
from ssl_platform.plan import Reads
from ssl_platform.types import Batch, Sample, Window

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

Windows = Literal["center", "grid", "slots"]


class Sequential:
    """Batches of one rank's share of the items, in order of index.

    Every sample's `position` is its number in the whole pass (over all ranks), so results can be put back in order.
    Items that cannot be read are left out and listed; batches may then be shorter.

    Args:
        catalog: items.
        domain: reads them.
        window: cells along each spatial axis.
        batch_size: largest number of samples in a batch.
        windows: `center` is one window that stands for each item, by default its middle; `grid` those that cover it
            (both `Domain.cover`); `slots` the windows training with stable identities sees.
        rows: which items, ascending; None for all.
        windows_per_item, seed: of the run, for `slots`.
        labels: as `Reader` takes them.
        rank, world: this process and the number of them: each has a contiguous share.
        workers, pin, start_method: as for `Loader`.

    Attributes:
        failures: items that could not be read.
    """

    def __init__(
        self,
        catalog: Catalog,
        domain: Domain,
        *,
        window: Sequence[int],
        batch_size: int,
        windows: Windows = "center",
        rows: Sequence[int] | np.ndarray | None = None,
        windows_per_item: int = 1,
        seed: int = 0,
        labels: np.ndarray | None = None,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        pin: bool = False,
        start_method: str | None = None,
    ) -> None:
        self.failures: list[Substitute] = []
        self._catalog, self._domain, self._window, self._windows = catalog, domain, tuple(window), windows
        self._slots = windows_per_item if windows == "slots" else 1
        self._reader = Reader(
            catalog,
            domain,
            Reads(),
            window,
            seed,
            windows_per_item=self._slots,
            stable=True,
            labels=labels,
        )
        self._workers, self._pin, self._start_method = workers, pin, start_method
        chosen = np.arange(len(catalog), dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
        counts = self._counts(chosen)
        row, number = (
            np.repeat(chosen, counts),
            np.concatenate([np.arange(c) for c in counts]) if len(counts) else counts,
        )
        self.lengths = [len(part) for part in np.array_split(np.arange(len(row)), world)]
        first = sum(self.lengths[:rank])
        mine = slice(first, first + self.lengths[rank])
        self._covered, self._cover = -1, cast("Sequence[Window]", ())  # the item last read, and its windows
        self._entries = np.stack([np.arange(len(row))[mine], row[mine], number[mine]], axis=1)
        self._batches = self._cut(batch_size)

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        """Windows of each item."""
        if self._windows != "grid":
            return np.full(len(rows), self._slots, dtype=np.int64)
        counts = [len(self._domain.cover(self._catalog.row(int(i)), self._window)) for i in rows]
        return np.array(counts, dtype=np.int64)

    def _cut(self, size: int) -> list[np.ndarray]:
        """Entries of each batch: consecutive, and of one bucket."""
        bucket = np.zeros(len(self._catalog), dtype=np.int64)
        for number, rows in enumerate(self._catalog.buckets(self._domain.layout.ragged_channels)):
            bucket[rows] = number
        batches = []
        for number in np.unique(bucket[self._entries[:, 1]]) if len(self._entries) else ():
            mine = self._entries[bucket[self._entries[:, 1]] == number]
            batches += [mine[start : start + size] for start in range(0, len(mine), size)]
        return batches

    @property
    def total(self) -> int:
        """Samples of the whole pass, over all ranks."""
        return sum(self.lengths)

    def __len__(self) -> int:
        """Batches of this rank."""
        return len(self._batches)

    def __call__(self, m: int) -> Delivery:
        """Batch `m` of this rank (in a worker)."""
        samples: list[Sample] = []
        failures: list[Substitute] = []
        for position, row, number in self._batches[m].tolist():
            try:
                samples.append(self._sample(position, row, number))
            except Exception as error:
                deliberate = isinstance(error, SslPlatformError) and not isinstance(error, Unreadable)
                if deliberate or isinstance(error, MemoryError):
                    raise
                failures.append(Substitute(position, self._catalog.row(row).id, one_line(error), -1))
        channels = self._catalog.channels if self._domain.layout.ragged_channels else ()
        batch = collate(samples, self._domain.layout, channels) if samples else None
        return Delivery(batch, failures)

    def _sample(self, position: int, row: int, number: int) -> Sample:
        if self._windows == "slots":
            return self._reader.sample(position, row, number)
        item = self._catalog.row(row)
        if row != self._covered:  # once an item: a slide has thousands of windows
            self._cover = self._domain.cover(item, self._window, whole=self._windows == "grid")
            self._covered = row
        return self._reader.read(position, row, row, [(item, self._cover[number])])

    def __iter__(self) -> Iterator[Batch]:
        self.failures = []
        for delivery in deliver(
            self, range(len(self)), workers=self._workers, pin=self._pin, start_method=self._start_method
        ):
            self.failures += delivery.substitutes
            if delivery.batch is not None:
                yield delivery.batch
