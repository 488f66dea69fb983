"""Positions to samples: place the windows, read them, put another item in the place of one that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.order import hashed, key, uniforms
from ssl_platform.data.quarantine import one_line
from ssl_platform.data.schedule import MicroBatch, Schedule
from ssl_platform.errors import RunFailed, SslPlatformError, Unreadable
from ssl_platform.plan import Reads
from ssl_platform.types import Part, Row, Sample, Window

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

ATTEMPTS = 16


@dataclass(frozen=True)
class Substitute:
    """An item that could not be read during a run, and what took its place.

    Attributes:
        position: in the run.
        failed: id of the item that could not be read.
        reason: one line.
        index: `row * windows_per_item + slot` of what was read instead.
    """

    position: int
    failed: str
    reason: str
    index: int


class Reader:
    """Reads samples of a catalog.

    Args:
        catalog: items.
        domain: places and reads windows.
        reads: windows of each sample and their relation (`Plan.reads`).
        size: cells of a window along each spatial axis.
        seed: of the run.
        windows_per_item: slots of each item.
        stable: whether a slot's window is the same in every epoch.
        labels: `[items]` int64 (-1 unknown), `[items]` float or `[items, K]` float (nan unknown), only for objectives
            that declare labels and for monitors; None serves no label.
    """

    def __init__(
        self,
        catalog: Catalog,
        domain: Domain,
        reads: Reads,
        size: Sequence[int],
        seed: int,
        *,
        windows_per_item: int = 1,
        stable: bool = False,
        labels: np.ndarray | None = None,
    ) -> None:
        self.catalog, self.domain, self.reads, self.size = catalog, domain.among(catalog), reads, tuple(size)
        self.windows_per_item, self.stable, self.labels = windows_per_item, stable, labels
        self._place_key, self._read_key = key(seed, "place"), key(seed, "read")

    def sample(self, position: int, row: int, slot: int) -> Sample:
        """The reads of one item at one position of the run."""
        (keyed,) = self._numbers(np.array([position]), np.array([row]), np.array([slot]))
        return self._sample(position, row, slot, *keyed)

    def _numbers(self, positions: np.ndarray, rows: np.ndarray, slots: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """What decides each sample: `[reads, S + 2]` numbers in `[0, 1)`, and the key of draws made while reading."""
        identity = rows * self.windows_per_item + slots if self.stable else positions
        count, rank = self.reads.count, self.domain.layout.rank
        numbers = uniforms(self._place_key, identity, count * (rank + 2)).reshape(-1, count, rank + 2)
        return list(zip(numbers, hashed(self._read_key, identity).tolist(), strict=True))

    def _sample(self, position: int, row: int, slot: int, numbers: np.ndarray, first: int) -> Sample:
        item = self.catalog.row(row)
        windows = self.domain.related(item, self.reads, self.size, numbers)
        index = row * self.windows_per_item + slot
        return self.read(position, row, index, [(r, replace(w, key=first ^ i)) for i, (r, w) in enumerate(windows)])

    def read(self, position: int, row: int, index: int, windows: Sequence[tuple[Row, Window]]) -> Sample:
        """The given windows as one sample of item `row`."""
        item = self.catalog.row(row)
        reads: list[dict[str, Part]] = []
        for i, (source, window) in enumerate(windows):
            same = i > 0 and source is windows[0][0] and replace(window, key=windows[0][1].key) == windows[0][1]
            reads.append(reads[0] if same else self.domain.read(source, window))
        return Sample(
            index=index,
            reads=tuple(reads),
            group=key("group", item.group) >> 1 if item.group is not None else key("item", item.id) >> 1,
            meta={name: _number(item.meta.get(name)) for name in self.domain.layout.meta},
            label=None if self.labels is None else self.labels[row],
            position=position,
        )

    def micro_batch(
        self, batch: MicroBatch, schedule: Schedule, settled: Mapping[int, int]
    ) -> tuple[list[Sample], list[Substitute]]:
        """The samples of a micro-batch, and what had to be substituted.

        Args:
            batch: what to read.
            schedule: gives other items where one cannot be read.
            settled: index to read at positions that were substituted before (when a run resumes).

        Raises:
            RunFailed: many items in a row cannot be read.
        """
        samples, substitutes = [], []
        numbers = self._numbers(batch.positions, batch.places.row, batch.places.slot)
        for i, position in enumerate(batch.positions.tolist()):
            row, slot = int(batch.places.row[i]), int(batch.places.slot[i])
            failures: list[tuple[str, str]] = []
            replaced = position in settled
            if replaced:
                row, slot = divmod(settled[position], self.windows_per_item)
            while True:
                try:
                    again = replaced or failures
                    drawn = (
                        self.sample(position, row, slot) if again else self._sample(position, row, slot, *numbers[i])
                    )
                    samples.append(drawn)
                    break
                except Exception as error:
                    if isinstance(error, MemoryError) or _deliberate(error):
                        raise
                    failures.append((self.catalog.row(row).id, one_line(error)))
                if len(failures) == ATTEMPTS:
                    raise RunFailed(
                        f"{ATTEMPTS} items in a row cannot be read, the last {failures[-1][0]}: {failures[-1][1]}; "
                        "is the disk still there?"
                    )
                row, slot = schedule.instead(position, len(failures), batch.bucket)
            index = row * self.windows_per_item + slot
            substitutes += [Substitute(position, failed, reason, index) for failed, reason in failures]
        return samples, substitutes


def _deliberate(error: Exception) -> bool:
    """Whether an error speaks of the run (cache, usage) and not of one unreadable item."""
    return isinstance(error, SslPlatformError) and not isinstance(error, Unreadable)


def _number(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        return float("nan")
