"""Which items make up each micro-batch of each rank: bucket by bucket, source by source, without memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.order import Mixture, Order, Places, hashed, key, source_weights
from ssl_platform.errors import DataError, did_you_mean


@dataclass(frozen=True)
class MicroBatch:
    """What one rank reads for one micro-batch.

    Attributes:
        positions: `[B]` int64 positions in the run.
        places: row and slot of each.
        bucket: the bucket all of them, on all ranks, come from.
    """

    positions: np.ndarray
    places: Places
    bucket: int


class Schedule:
    """The endless sequence of micro-batches over a catalog.

    Micro-batch `m` of rank `r` holds positions `start + (m * world + r) * B` and the `B - 1` behind. All ranks draw a
    micro-batch from one bucket; buckets take turns by their share of the items, so each is visited evenly.

    Args:
        catalog: items.
        batch_size: B, samples of one rank's micro-batch.
        seed: decides the order.
        windows_per_item: slots of each item.
        world: number of ranks.
        rank: this one.
        start: first position.
        ragged: whether batches may mix channel sets.
        sources: weight of each source (`data.sources`), by `--data` argument or its last component; empty: by
            size.

    Raises:
        DataError: the catalog is empty, or a weight names no source.
    """

    def __init__(
        self,
        catalog: Catalog,
        batch_size: int,
        seed: int,
        *,
        windows_per_item: int = 1,
        world: int = 1,
        rank: int = 0,
        start: int = 0,
        ragged: bool = False,
        sources: Mapping[str, float] | None = None,
    ) -> None:
        if len(catalog) == 0:
            raise DataError("there is no item to train on")
        self.batch_size, self.world, self.rank, self.start = batch_size, world, rank, start
        self._first = start // (batch_size * world)
        self._seed = seed
        members = _by_source(catalog, sources or {})
        weights = source_weights({name: (sources or {})[name] for name in members} if sources else {}, _sizes(members))
        self.orders: list[Order] = []
        shares = []
        for number, bucket in enumerate(catalog.buckets(ragged)):
            inside = {name: rows[np.isin(rows, bucket)] for name, rows in members.items()}
            inside = {name: rows for name, rows in inside.items() if len(rows)}
            if not inside:
                continue
            weight = [weights[name] * len(rows) / len(members[name]) for name, rows in inside.items()]
            self.orders.append(Order(list(inside.values()), weight, windows_per_item, seed, f"bucket {number}"))
            shares.append(sum(weight))
        self._turns = Mixture(shares, key(seed, "buckets"))

    def at(self, m: int) -> MicroBatch:
        """Micro-batch `m` after `start` of this rank."""
        inside = self.rank * self.batch_size + np.arange(self.batch_size, dtype=np.int64)
        positions = self.start + m * self.world * self.batch_size + inside
        if len(self.orders) == 1:
            return MicroBatch(positions, self.orders[0].at(positions), 0)
        bucket, turn = (int(values[0]) for values in self._turns.locate(np.array([self._first + m], dtype=np.int64)))
        return MicroBatch(positions, self.orders[bucket].at(turn * self.world * self.batch_size + inside), bucket)

    def instead(self, position: int, attempt: int, bucket: int) -> tuple[int, int]:
        """The (row, slot) that takes the place of one that cannot be read, derived from its position alone."""
        number = hashed(key(self._seed, "instead", attempt), np.array([position], dtype=np.int64))
        places = self.orders[bucket].anywhere(number)
        return int(places.row[0]), int(places.slot[0])


def _sizes(members: Mapping[str, np.ndarray]) -> dict[str, int]:
    return {name: len(rows) for name, rows in members.items()}


def _by_source(catalog: Catalog, weights: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Rows of each source that has a weight; all rows as one source where nothing is weighted."""
    if not weights:
        return {"": np.arange(len(catalog), dtype=np.int64)}
    if any(weight <= 0 for weight in weights.values()):
        raise DataError("data.sources: weights must be positive; leave out --data arguments that are not wanted")
    found = catalog.column("source") if "source" in catalog.extra else [""] * len(catalog)
    names = {source: {source, source.rstrip("/").rpartition("/")[2]} for source in set(found)}
    rows: dict[str, np.ndarray] = {}
    for name in weights:
        mine = {source for source, known in names.items() if name in known}
        if not mine:
            known_names = sorted(set().union(*names.values()) - {""})
            raise DataError(
                f"data.sources names {name!r}, which is no source{did_you_mean(name, known_names)}; "
                f"sources are {', '.join(known_names)}"
            )
        rows[name] = np.flatnonzero(np.isin(np.array(found, dtype=object), list(mine)))
    left = len(catalog) - sum(len(r) for r in rows.values())
    if left:
        example = next(s for s in found if not any(name in names[s] for name in weights))
        raise DataError(f"data.sources gives no weight to {example!r} ({left} items): weigh every source")
    return rows
