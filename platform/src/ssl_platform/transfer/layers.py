"""Candidate vectors of an item: the tokens of several blocks, pooled in several ways, side by side.

Which block and pooling suit a task differs by objective (that of generative models is best in the middle: Chen et
al., iGPT, 2020), so protocols choose among them on validation items as DINOv2's linear evaluation does (Oquab et al.,
2023, section B.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ssl_platform.encoder import Encoder
from ssl_platform.errors import ConfigError
from ssl_platform.nn.validity import valid_mean
from ssl_platform.types import Features

LAST = 4  # blocks, as DINOv2
REGIONS = 3  # along each axis
POOLED = "pooled"


class Layers:
    """Makes the candidates of a batch of windows.

    Encoders without named blocks give the levels of their pyramid instead, `level.0` the finest.

    Args:
        encoder: whose features they are.
        layers: blocks from 0, or from the end if negative; `auto` the last four, `all` every one.
        pooling: how tokens become one vector: `cls` (the first prefix token, where there is one), `mean` and `max` over
            valid tokens, `spread` (their mean and standard deviation side by side: textures differ in the second),
            `bands` (the mean along the last axis of a token grid, its other places side by side), `regions` (means of
            the thirds along each axis of what is valid, side by side).

    Attributes:
        taps: intermediate outputs to ask for.
        parts: columns of each candidate by name, once a batch was seen: `pooled`, `block.10/mean`, and all blocks
            together, `block.8+9+10+11/mean`.

    Raises:
        ConfigError: there is no such block.
    """

    def __init__(
        self, encoder: Encoder, layers: Sequence[int] | Literal["auto", "all"], pooling: Sequence[str]
    ) -> None:
        depth = encoder.model.depth if "taps" in encoder.model.offers else 0
        chosen = range(depth)[-LAST:] if layers == "auto" else range(depth) if layers == "all" else layers
        for block in chosen:
            if depth and not -depth <= int(block) < depth:
                raise ConfigError(f"probe.layers={block}: the encoder has blocks 0 to {depth - 1}")
        self.blocks = sorted({int(block) % depth for block in chosen}) if depth else []
        self.taps = tuple(f"block.{block}" for block in self.blocks)
        self.pooling = tuple(pooling)
        self.parts: dict[str, slice] = {}

    def __call__(self, features: Features) -> Tensor:
        """`[B, M]` all candidates side by side."""
        found, parts, width = [features.pooled], {POOLED: slice(0, features.pooled.shape[1])}, features.pooled.shape[1]
        for pooling in self.pooling:
            own = self._pooled(features, pooling)
            first = width
            for name, vectors in own.items():
                parts[f"{name}/{pooling}"] = slice(width, width + vectors.shape[1])
                width += vectors.shape[1]
                found.append(vectors)
            if len(own) > 1:
                kind = next(iter(own)).partition(".")[0]
                together = "+".join(name.partition(".")[2] for name in own)
                parts[f"{kind}.{together}/{pooling}"] = slice(first, width)
        self.parts = parts
        return torch.cat([vectors.float() for vectors in found], dim=1)

    def _pooled(self, features: Features, pooling: str) -> dict[str, Tensor]:
        if pooling == "bands":
            return self._bands(features)
        if pooling == "regions":
            return self._regions(features)
        if not self.blocks:
            maps = {f"level.{i}": values.flatten(2).transpose(1, 2) for i, (values, _) in enumerate(features.pyramid)}
            return {} if pooling == "cls" else {name: _pool(tokens, None, pooling) for name, tokens in maps.items()}
        prefix = features.prefix.shape[1]
        if pooling == "cls":
            return {name: features.taps[name][:, 0] for name in self.taps} if prefix else {}
        return {name: _pool(features.taps[name][:, prefix:], features.valid, pooling) for name in self.taps}

    def _bands(self, features: Features) -> dict[str, Tensor]:
        """Means along the last axis, side by side; nothing for point sets and sequences."""
        if not self.blocks or features.grid is None or len(features.grid) < 2:
            return {}
        prefix, last = features.prefix.shape[1], features.grid[-1]
        valid = None if features.valid is None else features.valid.unflatten(1, (-1, last)).flatten(0, 1)
        found = {}
        for name in self.taps:
            rows = features.taps[name][:, prefix:].unflatten(1, (-1, last))  # [B, places, last, D]
            found[name] = valid_mean(rows.flatten(0, 1), valid).view(len(rows), -1)
        return found

    def _regions(self, features: Features) -> dict[str, Tensor]:
        """Means of thirds, side by side; nothing for point sets."""
        if not self.blocks or features.grid is None:
            return {}
        prefix, grid = features.prefix.shape[1], tuple(features.grid)
        valid = None if features.valid is None else features.valid.unflatten(1, grid)
        return {name: regions(features.taps[name][:, prefix:].unflatten(1, grid), valid) for name in self.taps}


def spread(tokens: Tensor, valid: Tensor | None = None) -> Tensor:
    """`[B, 2 D]` mean and standard deviation (of the population) over the valid tokens of `[B, N, D]`, side by side."""
    mean = valid_mean(tokens, valid)
    return torch.cat([mean, valid_mean((tokens - mean[:, None]).square(), valid).sqrt()], dim=1)


def regions(tokens: Tensor, valid: Tensor | None = None) -> Tensor:
    """Means of the thirds of a token grid along each axis, side by side: one level of a spatial pyramid.

    Thirds are of the valid extent, so that the beginning of a short recording is compared with that of a long one.
    They overlap by a cell where an axis does not divide, and an axis of one or two cells has no more regions than that.

    Args:
        tokens: `[B, *grid, D]`.
        valid: `[B, *grid]`; None: all.

    Returns:
        `[B, regions * D]`; zero where no cell of a region is valid.

    Source: Lazebnik et al., Beyond Bags of Features: Spatial Pyramid Matching (CVPR 2006).
    """
    known = torch.ones(tokens.shape[:-1], dtype=torch.bool, device=tokens.device) if valid is None else valid
    total = torch.where(known[..., None], tokens, torch.zeros((), dtype=tokens.dtype, device=tokens.device)).movedim(
        -1, 1
    )
    count = known.to(tokens.dtype)
    for axis in range(1, known.dim()):
        others = [i for i in range(1, known.dim()) if i != axis]
        member = _thirds(known.any(dim=others) if others else known).to(tokens.dtype)  # [B, R, n]
        count = torch.einsum("brn,b...n->b...r", member, count.movedim(axis, -1)).movedim(-1, axis)
        total = torch.einsum("brn,b...n->b...r", member, total.movedim(axis + 1, -1)).movedim(-1, axis + 1)
    means = total / count.clamp(min=1)[:, None]
    return means.movedim(1, -1).flatten(1)


def _thirds(used: Tensor) -> Tensor:
    """`[B, R, n]` whether a cell lies in a third of the extent from the first used cell to the last."""
    cells = used.shape[1]
    at = torch.arange(cells, device=used.device)
    first = torch.where(used, at, cells).amin(dim=1, keepdim=True)
    extent = torch.where(used, at + 1, 0).amax(dim=1, keepdim=True) - first
    part = torch.arange(min(REGIONS, cells), device=used.device)
    begin = first + part * extent // len(part)
    end = first - (-(part + 1) * extent // len(part))  # rounded up
    return (at >= begin[..., None]) & (at < end[..., None])


def _pool(tokens: Tensor, valid: Tensor | None, pooling: str) -> Tensor:
    """`[B, D]` of tokens `[B, N, D]` that are valid (`[B, 2 D]` of `spread`); zero where none is."""
    if pooling == "mean":
        return valid_mean(tokens, valid)
    if pooling == "spread":
        return spread(tokens, valid)
    if valid is None:
        return tokens.amax(dim=1)
    top = tokens.masked_fill(~valid[..., None], -torch.inf).amax(dim=1)
    return torch.where(valid.any(dim=1, keepdim=True), top, torch.zeros_like(top))
