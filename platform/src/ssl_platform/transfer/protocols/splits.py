"""Features and targets by split, with the test split behind a door that opens once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_platform.errors import UsageError
from ssl_platform.transfer.protocols.answer import Answer


@dataclass
class Labelled:
    """Features and targets of some items.

    Attributes:
        features: `[n, D]` float32, or `[n, K, D]` bags with nan in the rows beyond an item's own.
        target: `[n]` classes (int64) or values, or `[n, K]` labels with nan for unknown.
        groups: `[n]`.
        ids: `[n]`.
    """

    features: Tensor
    target: Tensor
    groups: list[str]
    ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def some(self, rows: Sequence[int]) -> Labelled:
        """The items in these places."""
        at = torch.as_tensor(rows, dtype=torch.long)
        groups, ids = ([names[i] for i in rows] for names in (self.groups, self.ids))
        return Labelled(self.features[at], self.target[at], groups, ids)

    def with_(self, other: Labelled) -> Labelled:
        """These items followed by others."""
        return Labelled(
            torch.cat([self.features, other.features]),
            torch.cat([self.target, other.target]),
            [*self.groups, *other.groups],
            [*self.ids, *other.ids],
        )


@dataclass
class Splits:
    """The three splits of one evaluation.

    A protocol chooses everything on `train` and `val`; `final(predict)` hands the test features over exactly once, so
    that no choice can look at them.

    Attributes:
        train: what is learnt from.
        val: what choices are made on.
        few: whether the labels to learn from were limited (`labels.fraction`, `labels.count`).
        parts: columns of each candidate by name, of features that are several side by side (`layers`).
    """

    train: Labelled
    val: Labelled
    _test: Labelled
    few: bool = False
    parts: Mapping[str, slice] = field(default_factory=dict)
    _opened: bool = field(default=False, init=False)

    @property
    def known(self) -> Labelled:
        """What is learnt from once choices are made: train and validation items, but never more labels than asked."""
        return self.train if self.few else self.train.with_(self.val)

    def final(self, predict: Callable[[Tensor], np.ndarray], details: dict[str, Any] | None = None) -> Answer:
        """Scores of the test split.

        Args:
            predict: `[n, D]` features to `[n, K]` scores (or `[n]` values).
            details: what was chosen.

        Raises:
            UsageError: the test split was opened before.
        """
        test = self.open()
        return Answer(test.target.numpy(), predict(test.features), test.groups, test.ids, details or {})

    def open(self) -> Labelled:
        """The test split, once: for protocols whose answer is not a prediction for each item.

        Raises:
            UsageError: the test split was opened before.
        """
        if self._opened:
            raise UsageError("the test split was already opened by this protocol: choose on train and val only")
        self._opened = True
        return self._test
