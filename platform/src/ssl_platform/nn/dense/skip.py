"""The skip decoder: a U-Net's way back up over the maps of a hierarchical encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.nn.dense.layers import ConvBlock, DenseDecoder, way_up
from ssl_platform.nn.dense.maps import Source, at_stride, feature_maps, halvings
from ssl_platform.nn.sparse import CONV
from ssl_platform.types import Features


class SkipDecoder(DenseDecoder):
    """The coarsest map rises step by step; at each step the encoder's map of that stride joins (U-Net).

    From the finest map it rises by halvings to the view's resolution, where a shallow convolution of the normalised
    view joins, so that fine edges need not pass through the encoder.

    Args:
        source: what the backbone gives.
        outputs: channels of the logits.
        width: channels at full resolution; doubles at every coarser step up to 8 times.

    Raises:
        ValueError: the backbone has one map only.
    """

    name = "skip"

    def __init__(self, source: Source, outputs: int, width: int = 16) -> None:
        super().__init__()
        if len(source.dims) < 2:
            raise ValueError(f"joins maps of several scales and {source.name} has one; use unetr, fpn, linear or auto")
        rank, conv = source.rank, CONV[source.rank - 1]
        levels = sorted({*halvings(source.strides[0]), *source.strides})
        widths = [width * min(8, 2**level) for level in range(len(levels))]
        self.strides, self.at = source.strides, [levels.index(stride) for stride in source.strides]
        self.entries = nn.ModuleList(
            [conv(dim, widths[level], 1) for dim, level in zip(source.dims, self.at, strict=True)]
        )
        self.stem = ConvBlock(rank, source.channels, widths[0])
        self.rises = way_up(widths[-1], widths[:-1], levels)
        joined = {0, *self.at}
        self.blocks = nn.ModuleList(
            [ConvBlock(rank, (2 if i in joined else 1) * widths[i], widths[i]) for i in range(len(levels) - 1)]
        )
        self.head = conv(widths[0], outputs, 1)

    def forward(self, features: Features, x: Tensor) -> Tensor:
        """See `DenseDecoder`."""
        size = x.shape[2:]
        skips: dict[int, Tensor] = {0: self.stem(x)}
        for entry, level, stride, feature in zip(
            self.entries, self.at, self.strides, feature_maps(features), strict=True
        ):
            arrived = at_stride(entry(feature), stride, stride, size)
            skips[level] = skips[level] + arrived if level in skips else arrived
        y = skips[len(self.rises)]
        for level in reversed(range(len(self.rises))):
            y = self.rises[level](y, size)
            y = self.blocks[level](torch.cat([y, skips[level]], dim=1) if level in skips else y)
        logits: Tensor = self.head(y)
        return logits
