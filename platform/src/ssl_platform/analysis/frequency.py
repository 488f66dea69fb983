"""Which frequencies the token maps of each layer hold (Park et al., 2023)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_platform.analysis.layers import LayerOutput, tokens_offered
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.measures import log_amplitude


def unfit(subject: Subject) -> str | None:
    """Why there is nothing to look at."""
    if not tokens_offered(subject.encoder.model):
        return f"the backbone {subject.encoder.record.backbone.name} has no tokens"
    if subject.opened.data.domain.layout.points:
        return "point sets lie on no grid"
    return None


class Frequency:
    """Log amplitude of the highest frequency along the grid's diagonal, relative to the lowest.

    Only items whose tokens are all valid are counted: the edge of invalid tokens is a frequency of its own.

    Args:
        subject: of the pass.
    """

    def __init__(self, subject: Subject) -> None:
        self._sum: dict[str, Tensor] = {}
        self._items: dict[str, int] = {}

    def add(self, rows: np.ndarray, layers: dict[str, LayerOutput]) -> None:
        """Add the spectra of a batch."""
        for name, layer in layers.items():
            if layer.tokens is None or layer.grid is None or max(layer.grid) < 2:
                continue
            tokens = layer.tokens if layer.valid is None else layer.tokens[layer.valid.all(dim=1)]
            if not len(tokens):
                continue
            spectra = log_amplitude(tokens.transpose(1, 2).unflatten(2, layer.grid)).double().cpu()
            self._sum[name] = self._sum.get(name, torch.zeros(spectra.shape[1], dtype=torch.float64)) + spectra.sum(0)
            self._items[name] = self._items.get(name, 0) + len(spectra)

    def readings(self) -> list[Reading]:
        """One number a layer; `parts` hold the curve from the lowest frequency to the highest."""
        found = []
        for name, total in self._sum.items():
            curve = total / self._items[name]
            curve = curve - curve[0]
            found.append(Reading.of("high_frequency", "layer", name, float(curve[-1]), curve=curve.tolist()))
        return found
