"""What readings of a whole layer share: the pooled output of every layer for every item."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ssl_platform.analysis.layers import LayerOutput
from ssl_platform.analysis.subject import Subject
from ssl_platform.transfer.features import ItemFeatures


class PooledLayers:
    """Keeps `[B, D]` of every layer, batch by batch.

    Args:
        subject: of the pass.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._rows: list[np.ndarray] = []
        self._pooled: dict[str, list[Tensor]] = {}

    def add(self, rows: np.ndarray, layers: dict[str, LayerOutput]) -> None:
        """Keep a batch."""
        self._rows.append(rows)
        for name, layer in layers.items():
            self._pooled.setdefault(name, []).append(layer.pooled.cpu())

    def _layers(self) -> Iterator[tuple[str, ItemFeatures]]:
        """Each layer's name and `[N, D]` features."""
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, dtype=np.int64)
        for name, parts in self._pooled.items():
            yield name, ItemFeatures(torch.cat(parts).float(), rows, "center")
