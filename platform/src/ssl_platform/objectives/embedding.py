"""The joint-embedding skeleton: views to pooled features, with as few forward passes as possible."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import View


def pooled(backbone: Backbone, views: Sequence[View]) -> list[Tensor]:
    """Pooled features of several views; views of one size share a forward pass.

    Args:
        backbone: student or teacher.
        views: any mixture of sizes.

    Returns:
        One `[B, D]` tensor a view, in the order given.
    """
    by_size: dict[tuple[object, ...], list[int]] = {}
    for position, view in enumerate(views):
        key = (*view.x.shape, view.channels, view.valid is None, view.channel_valid is None)
        by_size.setdefault(key, []).append(position)
    found: dict[int, Tensor] = {}
    for positions in by_size.values():
        joined = View.cat([views[p] for p in positions]) if len(positions) > 1 else views[positions[0]]
        parts = backbone(joined).pooled.chunk(len(positions))
        found.update(zip(positions, parts, strict=True))
    return [found[p] for p in range(len(views))]


def mean_of(values: Sequence[Tensor]) -> Tensor:
    """The mean of equal-shaped tensors."""
    return torch.stack(tuple(values)).mean(dim=0)
