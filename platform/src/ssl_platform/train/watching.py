"""Which windows the monitor of a run looks at, and what it may know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.leaks import monitor_entries
from ssl_platform.data.loader import Loader
from ssl_platform.data.sequential import Sequential
from ssl_platform.distributed import world
from ssl_platform.opening import OpenData
from ssl_platform.train.assemble import Model
from ssl_platform.train.monitor import Labelled, Monitor
from ssl_platform.types import Batch

_VAL = 2
LABELLED_LOOKS = 4
"""kNN looks at up to this many times `health.items` labelled items."""


class Watch:
    """Chooses items and labels for a run's monitor: labels of training and validation rows, never of test rows.

    Args:
        config: `health.*`.
        data: opened.
        model: makes the views.
        train_rows: catalog rows trained on.
    """

    def __init__(self, config: RunConfig, data: OpenData, model: Model, train_rows: np.ndarray) -> None:
        self.config, self.data, self.model = config, data, model
        entries = self._entries()
        labelled_rows = _spaced(np.unique(data.facts.row[entries]), LABELLED_LOOKS * config.health.items)
        self.rows = np.unique(np.concatenate([_spaced(train_rows, config.health.items), labelled_rows]))
        self.labelled = self._labelled(entries[np.isin(data.facts.row[entries], labelled_rows)])
        self.line = ""
        if self.labelled is not None:
            self.line = (
                f"health: kNN on {len(labelled_rows)} labelled items of train and val, labels used for nothing else"
            )

    def _entries(self) -> np.ndarray:
        facts = self.data.facts
        layout = facts.layout
        usable = layout is not None and layout.kind in ("classification", "regression") and self.config.health.knn
        if not usable or facts.target.ndim != 1:
            return np.empty(0, dtype=np.int64)
        entries = monitor_entries(facts, self.data.splits.codes)
        return entries[facts.whole[entries]]

    def _labelled(self, entries: np.ndarray) -> Labelled | None:
        if not len(entries):
            return None
        facts = self.data.facts
        by_row = self.data.labels_by_row(entries)
        assert by_row is not None
        query = np.zeros(len(self.data.catalog), dtype=bool)
        query[facts.row[entries]] = self.data.splits.codes[0][entries] == _VAL
        names = {name: i for i, name in enumerate(dict.fromkeys(facts.group))}
        group = -1 - np.arange(len(self.data.catalog), dtype=np.int64)  # an item without a group is its own
        group[facts.row] = [names[name] for name in facts.group]
        target = by_row[self.rows]
        return Labelled(
            torch.from_numpy(target.astype(np.int64 if np.issubdtype(target.dtype, np.integer) else np.float32)),
            torch.from_numpy(query[self.rows]),
            torch.from_numpy(group[self.rows]),
        )

    def monitor(self, trainer: Trainer) -> Monitor:
        """The monitor, once the model is on its device."""
        maker = self.model.maker
        points = self.data.domain.layout.points
        return Monitor(
            self._batches,
            maker.clean,
            None if points and not maker.recipes else maker,
            self.labelled,
            device=trainer.strategy.root_device,
            autocast=trainer.precision_plugin.forward_context,
            limit=len(self.rows),
        )

    def _batches(self) -> Iterator[Batch]:
        yield from Sequential(
            self.data.catalog,
            self.data.domain,
            window=self.model.window,
            batch_size=16,
            rows=self.rows,
        )


def _spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, evenly spaced."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def gathered_substitutes(loader: Loader) -> list[list[Any]]:
    """Substitutes of all ranks as plain values, by position. A collective."""
    mine = [list(astuple(s)) for s in loader.substitutes]
    if world() == 1:
        return mine
    everyone: list[Any] = [None] * world()
    dist.all_gather_object(everyone, mine)
    return [list(s) for s in sorted({tuple(s) for share in everyone for s in share}, key=lambda s: s[0])]
