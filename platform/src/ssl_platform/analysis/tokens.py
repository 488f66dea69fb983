"""Tokens of one item: do some turn into memory of far larger norm, and are they all alike?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_platform.analysis.layers import LayerOutput, tokens_offered
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.measures import norm_outliers, token_similarity

MOST = 1024  # tokens of an item whose norms are kept
_BINS = 32


def unfit(subject: Subject) -> str | None:
    """Why there is nothing to look at."""
    model = subject.encoder.model
    return None if tokens_offered(model) else f"the backbone {subject.encoder.record.backbone.name} has no tokens"


class TokenNorms:
    """Share of tokens of far larger norm (Darcet et al., 2024), largest over median norm, and mean cosine of an item's
    tokens (Park et al., 2023), by layer; blocks are taken before any final norm, which would level the norms.

    Args:
        subject: of the pass.
    """

    def __init__(self, subject: Subject) -> None:
        self._norms: dict[str, list[Tensor]] = {}
        self._alike: dict[str, list[Tensor]] = {}

    def add(self, rows: np.ndarray, layers: dict[str, LayerOutput]) -> None:
        """Keep norms of at most `MOST` tokens an item, evenly chosen."""
        for name, layer in layers.items():
            if layer.tokens is None:
                continue
            norms = layer.tokens.norm(dim=-1).cpu()
            valid = None if layer.valid is None else layer.valid.cpu()
            for row, own in enumerate(norms):
                kept = own if valid is None else own[valid[row]]
                if len(kept) > MOST:
                    kept = kept[torch.linspace(0, len(kept) - 1, MOST).round().long()]
                self._norms.setdefault(name, []).append(kept)
            self._alike.setdefault(name, []).append(token_similarity(layer.tokens, layer.valid).cpu())

    def readings(self) -> list[Reading]:
        """Three numbers a layer; `parts` hold a histogram of norms over their median."""
        found = []
        for name, kept in self._norms.items():
            norms = torch.cat(kept)
            if not len(norms):
                continue
            ratio = norms / norms.median()
            parts = _histogram(ratio) if bool(ratio.isfinite().all()) else {}  # the median of a dead layer is 0
            share = float(norm_outliers(norms[None, :, None]))
            found += [
                Reading.of("norm_outliers", "layer", name, share, **parts),
                Reading.of("largest_norm", "layer", name, float(ratio.max())),
                Reading.of("token_similarity", "layer", name, float(torch.cat(self._alike[name]).nanmean())),
            ]
        return found


def _histogram(ratio: Tensor) -> dict[str, list[float]]:
    """Counts of norms over their median, and the edges of their bins."""
    counts, edges = np.histogram(ratio.numpy(), bins=_BINS, range=(0.0, max(2.0, float(ratio.max()))))
    return {"counts": counts.tolist(), "edges": edges.tolist()}
