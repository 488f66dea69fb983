"""One pass over clean views for every analysis that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ssl_platform.analysis.layers import LayerOutput, layer_outputs, taps_of
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject


class Collector(Protocol):
    """Takes what a pass finds, batch by batch; nothing it answers may depend on the batches' size."""

    def add(self, rows: np.ndarray, layers: dict[str, LayerOutput]) -> None:
        """Take a batch.

        Args:
            rows: `[B]` catalog rows.
            layers: outputs by name, first to last.
        """

    def readings(self) -> list[Reading]:
        """What was found, once all is added."""


def look(subject: Subject, collectors: Sequence[Collector]) -> list[list[Reading]]:
    """Feed the clean windows in the middle of `subject.rows` to collectors; the readings of each."""
    taps = taps_of(subject.encoder.model)
    for batch, view in subject.views(subject.rows, "clean views"):
        layers = layer_outputs(subject.encoder.model, view, subject.encoder(view, taps))
        for collector in collectors:
            collector.add(batch.index.cpu().numpy(), layers)
    return [collector.readings() for collector in collectors]
