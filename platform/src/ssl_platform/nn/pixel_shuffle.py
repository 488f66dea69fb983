"""The smallest decoder of whole views: one linear layer a token, whose outputs are the token's cells."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.patches import crop, unpatchify
from ssl_platform.types import Features, View


class PixelShuffle(nn.Module):
    """A 1x1 convolution and pixel shuffle from the last map or the tokens of any backbone to a view.

    Args:
        backbone: on grids, with tokens.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.patch: tuple[int, ...] = ()
        width = 0
        if backbone.tokenizer is not None:
            width = backbone.tokenizer.target_dim
        else:
            assert backbone.spec is not None
            self.channels = len(backbone.spec.channels)
            self.patch = strides(backbone)
            width = math.prod(self.patch) * self.channels
        self.linear = nn.Linear(backbone.embed_dim, width)

    def forward(self, backbone: Backbone, features: Features, view: View) -> Tensor:
        """`[B, C, *size]` made of the features of all tokens of a view."""
        assert features.tokens is not None
        values = self.linear(features.tokens)
        if backbone.tokenizer is not None:
            return backbone.tokenizer.reconstruct(values, view)
        assert features.grid is not None
        return crop(unpatchify(values, features.grid, self.patch, self.channels), view.x.shape[2:])


@torch.no_grad()
def strides(backbone: Backbone) -> tuple[int, ...]:
    """Cells of a view, of the size the backbone was built for, to a cell of its last map along each axis.

    Found by running it once on zeros.
    """
    assert backbone.spec is not None
    size, training = backbone.spec.size, backbone.training
    parameter = next(backbone.parameters())
    x = torch.zeros(1, len(backbone.spec.channels), *size, device=parameter.device, dtype=parameter.dtype)
    grid = backbone.eval()(View(x, channels=backbone.spec.channels)).grid
    backbone.train(training)
    assert grid is not None
    return tuple(-(-n // g) for n, g in zip(size, grid, strict=True))
