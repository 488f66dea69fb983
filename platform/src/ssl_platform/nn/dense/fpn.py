"""The FPN decoder: maps of several scales, each told what the coarser ones know, fused into one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.dense.layers import ConvBlock, DenseDecoder, MapNorm, Rise
from ssl_platform.nn.dense.maps import INTERPOLATION, Source, Stride, at_stride, evenly, feature_maps
from ssl_platform.nn.patches import grid_of
from ssl_platform.nn.sparse import CONV
from ssl_platform.types import Features

POOLS = (1, 2, 3, 6)
_WIDTH = 8  # of the pyramid, over that of a decoder at full resolution, which this one never reaches


class FpnDecoder(DenseDecoder):
    """A feature pyramid with pooled context on its coarsest map and all levels fused (UPerNet).

    Xiao et al., 2018, arXiv:1807.10221. Of a hierarchical encoder the levels are its maps. A plain ViT has one stride:
    tokens of four blocks in equal steps of depth become maps of a quarter, half, once and twice its patch by transposed
    convolution and pooling (as BEiT and MAE are put under UPerNet). A net with one map and no blocks to name gives that
    map to all four (Li et al., 2022, arXiv:2203.16527).

    Args:
        source: what the backbone gives.
        outputs: channels of the logits.
        width: the pyramid has 8 times as many channels.
    """

    name = "fpn"

    def __init__(self, source: Source, outputs: int, width: int = 16) -> None:
        super().__init__()
        rank, wide, self.prefix = source.rank, _WIDTH * width, source.prefix
        self.plain, self.single = source.plain, len(source.dims) == 1
        self.strides = _scales(source.strides[0]) if self.single else list(source.strides)
        self.own = source.strides[0]
        levels = len(self.strides)
        dims = [source.dims[0]] * levels if self.single else list(source.dims)
        if source.plain:
            self.taps = evenly(source.depth, levels)[:-1]  # the last level takes the normalised output
        self.norms = nn.ModuleList([MapNorm(dim) for dim in dims]) if self.single else None
        self.laterals = nn.ModuleList([self._lateral(d, wide, s) for d, s in zip(dims, self.strides, strict=True)])
        self.context = _Context(rank, wide)
        self.smooth = nn.ModuleList([ConvBlock(rank, wide, wide, repeats=1) for _ in range(levels - 1)])
        self.fuse = ConvBlock(rank, levels * wide, wide, repeats=1)
        self.head = CONV[rank - 1](wide, outputs, 1)

    def _lateral(self, dim: int, wide: int, stride: Stride) -> nn.Module:
        finer = self.single and any(s < o for s, o in zip(stride, self.own, strict=True))
        return Rise(dim, wide, self.own, stride) if finer else CONV[len(stride) - 1](dim, wide, 1)

    def forward(self, features: Features, x: Tensor) -> Tensor:
        """See `DenseDecoder`."""
        size = x.shape[2:]
        levels = self._levels(features, size)
        levels[-1] = self.context(levels[-1])
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + at_stride(levels[i + 1], self.strides[i + 1], self.strides[i], size)
        smooth = [block(level) for block, level in zip(self.smooth, levels[:-1], strict=True)]
        finest = self.strides[0]
        together = [
            at_stride(level, stride, finest, size)
            for level, stride in zip([*smooth, levels[-1]], self.strides, strict=True)
        ]
        logits: Tensor = self.head(self.fuse(torch.cat(together, dim=1)))
        return at_stride(logits, finest, (1,) * len(finest), size)

    def _levels(self, features: Features, size: tuple[int, ...]) -> list[Tensor]:
        """`[B, 8 * width, *cells]` of each stride, fine to coarse."""
        maps = feature_maps(features)
        if self.norms is not None:
            inner = [features.taps[tap][:, self.prefix :].transpose(1, 2) for tap in self.taps]
            maps = [*(t.unflatten(2, maps[0].shape[2:]) for t in inner), *maps * (len(self.strides) - len(inner))]
            maps = [norm(m) for norm, m in zip(self.norms, maps, strict=True)]
        found = []
        for lateral, feature, stride in zip(self.laterals, maps, self.strides, strict=True):
            if isinstance(lateral, Rise):
                found.append(lateral(feature, size))
                continue
            own = self.own if self.single else stride
            factor = [s // o for s, o in zip(stride, own, strict=True)]
            if max(factor) > 1:
                feature = _pooled(feature, factor)
            found.append(at_stride(lateral(feature), stride, stride, size))
        return found


class _Context(nn.Module):
    """Pyramid pooling (Zhao et al., 2017, arXiv:1612.01105): means over grids of 1, 2, 3 and 6 cells beside it."""

    def __init__(self, rank: int, wide: int) -> None:
        super().__init__()
        self.mode = INTERPOLATION[rank - 1]
        # Without a norm: a map of one cell has nothing to be normalised over.
        self.pools = nn.ModuleList(
            [nn.Sequential(CONV[rank - 1](wide, wide // len(POOLS), 1), nn.GELU()) for _ in POOLS]
        )
        self.join = ConvBlock(rank, wide + len(POOLS) * (wide // len(POOLS)), wide, repeats=1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, W, *m]`, of the shape of `x`."""
        size, found = list(x.shape[2:]), [x]
        for count, conv in zip(POOLS, self.pools, strict=True):
            pooled = conv(F.interpolate(x, size=[min(count, n) for n in size], mode="area"))
            found.append(F.interpolate(pooled, size=size, mode=self.mode, align_corners=False))
        joined: Tensor = self.join(torch.cat(found, dim=1))
        return joined


def _scales(patch: Stride) -> list[Stride]:
    """Strides of a quarter, half, once and twice a patch, at least one cell, each once."""
    scales = [tuple(max(1, s // 4) for s in patch), tuple(max(1, s // 2) for s in patch), patch]
    return [*dict.fromkeys(scales), tuple(2 * s for s in patch)]


def _pooled(x: Tensor, factor: list[int]) -> Tensor:
    """Largest values of `factor` cells along each axis; the last may hold fewer."""
    grid = grid_of(x.shape[2:], factor)
    missing = [g * f - n for g, f, n in zip(grid, factor, x.shape[2:], strict=True)]
    padded = F.pad(x, [n for m in reversed(missing) for n in (0, m)], mode="replicate") if any(missing) else x
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    found: Tensor = pool(padded, factor)
    return found
