"""The linear decoder: what the features alone say about each place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.nn.dense.layers import DenseDecoder, MapNorm
from ssl_platform.nn.dense.maps import Source, at_stride, feature_maps
from ssl_platform.nn.sparse import CONV
from ssl_platform.types import Features


class LinearDecoder(DenseDecoder):
    """A norm and one linear layer a map; the logits of all maps are added at the finest one and interpolated.

    For a plain ViT this is the linear segmentation probe of its last tokens (as in Strudel et al., 2021,
    arXiv:2105.05633, "linear").

    Args:
        source: what the backbone gives.
        outputs: channels of the logits.
        width: not used: there is no hidden layer.
    """

    name = "linear"

    def __init__(self, source: Source, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.strides, conv = source.strides, CONV[source.rank - 1]
        self.heads = nn.ModuleList([nn.Sequential(MapNorm(dim), conv(dim, outputs, 1)) for dim in source.dims])

    def forward(self, features: Features, x: Tensor) -> Tensor:
        """See `DenseDecoder`."""
        size, finest = x.shape[2:], self.strides[0]
        found = [
            at_stride(head(feature), stride, finest, size)
            for head, feature, stride in zip(self.heads, feature_maps(features), self.strides, strict=True)
        ]
        return at_stride(torch.stack(found).sum(0), finest, (1,) * len(finest), size)
