"""An encoder and the data it is analysed on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ssl_platform.data.collate import to_device
from ssl_platform.data.facts import Facts
from ssl_platform.data.progress import Bar
from ssl_platform.data.sequential import Sequential
from ssl_platform.encoder import Encoder
from ssl_platform.errors import RunFailed
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.types import Batch, View

TEST = 3
_BATCH = 16


@dataclass(frozen=True)
class Subject:
    """What is analysed.

    Attributes:
        name: of the encoder, for the user.
        opened: the data, with the limits in `opened.config.analyze`.
        encoder: on its device; `opened.encoder` or the same net with random weights.
        changes: transformations that fit the data (`ssl_platform.analysis.transformed`).
    """

    name: str
    opened: Opened
    encoder: Encoder
    changes: tuple[str, ...] = ()

    @staticmethod
    def of(name: str, opened: Opened) -> Subject:
        """The encoder that was opened."""
        return Subject(name, opened, opened.encoder.to(device_of(opened.config)))

    def beside(self, encoder: Encoder, word: str) -> Subject:
        """The same data under another encoder."""
        return replace(self, name=f"{self.name}, {word}", encoder=encoder.to(device_of(self.opened.config)))

    @property
    def limit(self) -> int:
        """Most items an analysis looks at."""
        return self.opened.config.analyze.items

    @property
    def scored(self) -> bool:
        """Whether items have labels of their own: classes, several labels or numbers."""
        layout = self.opened.data.facts.layout
        return layout is not None and layout.kind != "segmentation"

    def unscored(self) -> str | None:
        """Why nothing can be scored, or None."""
        if self.scored:
            return None
        if self.opened.data.facts.layout is None:
            return "there are no labels (--labels)"
        return "the labels are masks, and labels of whole items are needed"

    @property
    def rows(self) -> np.ndarray:
        """Catalog rows that label-free analyses look at, ascending.

        Evenly chosen, at most `limit` of all, and as many of labelled training and validation items. Where one split
        is held out for testing, none of it: what is seen here may decide which layer or run is used.
        """
        opened = self.opened
        facts, codes = opened.data.facts, opened.codes
        free = np.ones(len(opened.data.catalog), dtype=bool)
        if len(codes) == 1:
            free[facts.row[codes[0] == TEST]] = False
        chosen = [evenly(np.flatnonzero(free), self.limit)]
        if self.scored:
            chosen += [evenly(self.part(code), self.limit) for code in (1, 2)]
        return np.unique(np.concatenate(chosen))

    def part(self, code: int) -> np.ndarray:
        """Catalog rows of labelled items of one part (1 train, 2 validation, 3 test) in any round, ascending."""
        facts = self.opened.data.facts
        return np.unique(facts.row[(self.opened.codes == code).any(axis=0) & facts.labelled])

    def transformed_rows(self) -> np.ndarray:
        """Catalog rows of the items that are looked at transformed."""
        return evenly(self.rows, self.opened.config.analyze.transformed)

    def batches(self, rows: np.ndarray, title: str | None, batch_size: int = _BATCH) -> Iterator[Batch]:
        """The window in the middle of each item, on the device, with a progress bar where there is a title.

        Raises:
            RunFailed: none could be read.
        """
        opened = self.opened
        source = Sequential(
            opened.data.catalog, opened.data.domain, window=opened.window, batch_size=batch_size, rows=rows
        )
        done = 0
        with Bar(f"{self.name}: {title}", sys.stderr if title else None) as bar:
            for batch in source:
                yield to_device(batch, self.encoder.device)
                done += len(batch)
                bar(done, source.total)
        opened.unread |= {failure.failed: failure.reason for failure in source.failures}
        if not done:
            why = "".join(f", e.g. {item}: {reason}" for item, reason in list(opened.unread.items())[:1])
            raise RunFailed(f"none of {len(rows)} items could be read{why}")

    def views(self, rows: np.ndarray, title: str | None, batch_size: int = _BATCH) -> Iterator[tuple[Batch, View]]:
        """Clean views of those windows."""
        for batch in self.batches(rows, title, batch_size):
            yield batch, self.opened.maker.clean(batch)

    def classes(self, rows: np.ndarray) -> np.ndarray | None:
        """`[n]` int64 classes of catalog rows, or None where not all of them have one."""
        facts: Facts = self.opened.data.facts
        if facts.layout is None or facts.layout.kind != "classification":
            return None
        found = np.full(len(self.opened.data.catalog), -1, dtype=np.int64)
        whole = facts.whole & facts.labelled
        found[facts.row[whole]] = facts.target[whole]
        return found[rows] if (found[rows] >= 0).all() else None


def evenly(values: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of some values, evenly chosen, in order."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(np.int64)]
