"""The UNETR decoder: a U-Net's way back up over the blocks of a plain ViT."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.nn.dense.layers import ConvBlock, DenseDecoder, MapNorm, way_up
from ssl_platform.nn.dense.maps import Source, evenly, feature_maps, halvings
from ssl_platform.nn.sparse import CONV
from ssl_platform.types import Features


class UnetrDecoder(DenseDecoder):
    """Tokens of blocks in equal steps of depth, risen to finer and finer maps, join a way up from the last ones.

    UNETR (Hatamizadeh et al., 2022, arXiv:2103.10504, figure 1) with patches of any size: one step a halving of the
    patch, the deeper the block the coarser its map, and a convolution of the view itself at full resolution. Unlike
    there the tokens of inner blocks are normalised before they are used, as the last ones are.

    Args:
        source: what the backbone gives.
        outputs: channels of the logits.
        width: channels at full resolution; doubles at every coarser step up to 8 times.

    Raises:
        ValueError: the backbone is no plain ViT.
    """

    name = "unetr"

    def __init__(self, source: Source, outputs: int, width: int = 16) -> None:
        super().__init__()
        if not source.plain:
            other = "skip, fpn" if len(source.dims) > 1 else "fpn"
            raise ValueError(
                f"reads the blocks of a plain vision transformer and {source.name} is none; use {other}, linear or auto"
            )
        rank, levels = source.rank, halvings(source.strides[0])
        widths = [width * min(8, 2**level) for level in range(len(levels) - 1)]
        self.prefix, top = source.prefix, len(levels) - 1
        self.taps = evenly(source.depth, top)[:-1] if top else ()
        # The map of level i comes from the i-th tap and rises from the patch's stride to that of the level.
        self.skips = nn.ModuleList(
            [_Ascent(source.dim, levels[level : top + 1], widths[level:top]) for level in range(1, top)]
        )
        self.stem = ConvBlock(rank, source.channels, widths[0] if top else width)
        self.rises = way_up(source.dims[0], widths, levels)
        self.blocks = nn.ModuleList([ConvBlock(rank, 2 * w, w) for w in widths])
        self.entry = None if top else ConvBlock(rank, source.dims[0] + width, width)
        self.head = CONV[rank - 1](widths[0] if top else width, outputs, 1)

    def forward(self, features: Features, x: Tensor) -> Tensor:
        """See `DenseDecoder`."""
        size = x.shape[2:]
        (y,) = feature_maps(features)
        if self.entry is not None:
            found: Tensor = self.head(self.entry(torch.cat([y, self.stem(x)], dim=1)))
            return found
        skips = [self.stem(x)]
        for tap, ascent in zip(self.taps, self.skips, strict=True):
            tokens = features.taps[tap][:, self.prefix :].transpose(1, 2)
            skips.append(ascent(tokens.unflatten(2, y.shape[2:]), size))
        for level in reversed(range(len(self.rises))):
            y = self.blocks[level](torch.cat([self.rises[level](y, size), skips[level]], dim=1))
        logits: Tensor = self.head(y)
        return logits


class _Ascent(nn.Module):
    """Tokens of a block risen step by step to a finer map.

    Args:
        dim: D of the tokens.
        levels: strides, finest first, the last is the tokens' own.
        widths: channels at each but the last.
    """

    def __init__(self, dim: int, levels: list[tuple[int, ...]], widths: list[int]) -> None:
        super().__init__()
        self.norm = MapNorm(dim)
        self.rises = way_up(dim, widths, levels)
        self.blocks = nn.ModuleList([ConvBlock(len(levels[0]), w, w, repeats=1) for w in widths])

    def forward(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        """`[B, D, *grid]` to `[B, widths[0], *cells]`."""
        x = self.norm(x)
        for level in reversed(range(len(self.rises))):
            x = self.blocks[level](self.rises[level](x, size))
        return x
