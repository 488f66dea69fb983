"""The joint-embedding skeleton: views to features, with as few forward passes as possible."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import Features, View


def embedded(backbone: Backbone, views: Sequence[View]) -> list[Features]:
    """Features of several views; views of one size share a forward pass.

    Args:
        backbone: student or teacher.
        views: any mixture of sizes.

    Returns:
        One a view, in the order given, without pyramid and intermediate outputs where views were joined.
    """
    by_size: dict[tuple[object, ...], list[int]] = {}
    for position, view in enumerate(views):
        key = (*view.x.shape, view.channels, view.valid is None, view.channel_valid is None)
        by_size.setdefault(key, []).append(position)
    found: dict[int, Features] = {}
    for positions in by_size.values():
        if len(positions) == 1:
            found[positions[0]] = backbone(views[positions[0]])
            continue
        joined: Features = backbone(View.cat([views[p] for p in positions]))
        found.update(zip(positions, _apart(joined, len(positions)), strict=True))
    return [found[p] for p in range(len(views))]


def pooled(backbone: Backbone, views: Sequence[View]) -> list[Tensor]:
    """One `[B, D]` tensor a view of pooled features; takes what `embedded` takes."""
    return [features.pooled for features in embedded(backbone, views)]


def _apart(features: Features, count: int) -> list[Features]:
    """The features of `count` joined views one by one."""
    tokens, coords, valid = (
        (None,) * count if field is None else field.chunk(count)
        for field in (features.tokens, features.coords, features.valid)
    )
    pooled, prefix = features.pooled.chunk(count), features.prefix.chunk(count)
    return [Features(pooled[i], prefix[i], tokens[i], coords[i], valid[i], features.grid) for i in range(count)]


def mean_of(values: Sequence[Tensor]) -> Tensor:
    """The mean of equal-shaped tensors."""
    return torch.stack(tuple(values)).mean(dim=0)
