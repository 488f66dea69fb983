"""Features and targets by split, with the test split behind a door that opens once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ssl_platform.errors import UsageError


@dataclass
class Labelled:
    """Features and targets of some items.

    Attributes:
        features: `[n, D]` float32.
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


@dataclass
class Splits:
    """The three splits of one evaluation.

    A protocol chooses everything on `train` and `val`; `final(predict)` hands the test features over exactly once and
    keeps the answer, so that no choice can look at it.
    """

    train: Labelled
    val: Labelled
    _test: Labelled
    _opened: bool = field(default=False, init=False)

    def final(self, predict: Callable[[Tensor], np.ndarray]) -> tuple[np.ndarray, np.ndarray, Labelled]:
        """Scores of the test split: `(target, score, items)`.

        Args:
            predict: `[n, D]` features to `[n, K]` scores (or `[n]` values).

        Raises:
            UsageError: the test split was opened before.
        """
        if self._opened:
            raise UsageError("the test split was already opened by this protocol: choose on train and val only")
        self._opened = True
        return self._test.target.numpy(), predict(self._test.features), self._test
