"""From one vector to a whole view by up-convolutions, and a critic of boxes of cells, for grids of any rank.

Features are normalised within a sample: the published nets share batch statistics, by which a sample's level is known
no better than that of its batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.patches import crop
from ssl_platform.nn.sparse import CONV

_RISE: tuple[type[nn.Module], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_COARSE = 4  # cells an axis at which painting starts, or less


def sample_norm(width: int) -> nn.GroupNorm:
    """Normalisation of groups of a sample's channels."""
    return nn.GroupNorm(4 if width % 4 == 0 else 1, width)


class Painter(nn.Module):
    """A vector becomes a coarse map; transposed convolutions double its resolution until it covers the view.

    The last of them paints, as published: the finest map has half the resolution of the view.

    Args:
        in_dim: width of the vector.
        outputs: channels C.
        size: cells of the view along each axis.
        width: channels of the map at half the resolution; they double with every halving, up to eightfold.
    """

    def __init__(self, in_dim: int, outputs: int, size: Sequence[int], width: int = 64) -> None:
        super().__init__()
        levels = max(1, (-(-max(size) // _COARSE) - 1).bit_length())
        self.sizes = [tuple(-(-n // 2**level) for n in size) for level in reversed(range(levels + 1))]
        widths = [width * min(8, 2**level) for level in reversed(range(levels))]
        self.width = widths[0]
        self.start = nn.Linear(in_dim, self.width * math.prod(self.sizes[0]))
        self.first = sample_norm(self.width)
        rises = zip(itertools.pairwise(widths), itertools.pairwise(self.sizes), strict=False)
        self.rises = nn.ModuleList(
            [
                nn.Sequential(_rise(a, b, before, after, bias=False), sample_norm(b), nn.ReLU())
                for (a, b), (before, after) in rises
            ]
        )
        self.head = _rise(widths[-1], outputs, self.sizes[-2], self.sizes[-1])

    def forward(self, code: Tensor) -> Tensor:
        """`[B, in_dim]` to `[B, C, *size]`."""
        x = F.relu(self.first(self.start(code).unflatten(1, (self.width, *self.sizes[0]))))
        for rise, size in zip([*self.rises, self.head], self.sizes[1:], strict=True):
            x = crop(rise(x), size)  # what an odd size does not need is cut off
        return x


def _rise(channels: int, outputs: int, before: Sequence[int], after: Sequence[int], bias: bool = True) -> nn.Module:
    """A transposed convolution that doubles the axes which grow and keeps those that do not."""
    strides = [2 if b > a else 1 for a, b in zip(before, after, strict=True)]
    kernel = tuple(2 + s for s in strides)
    return _RISE[len(before) - 1](channels, outputs, kernel, tuple(strides), padding=1, bias=bias)


class Critic(nn.Module):
    """Tells real boxes from painted ones: strided convolutions with leaky rectifiers, then one logit.

    Args:
        channels: C.
        size: cells of a box along each axis.
        width: channels of the first map; they double with every halving.
    """

    def __init__(self, channels: int, size: Sequence[int], width: int = 64) -> None:
        super().__init__()
        conv = CONV[len(size) - 1]
        levels = max(1, min(4, (max(size) - 1).bit_length() - 1))
        widths = [channels, *(width * 2**level for level in range(levels))]
        layers: list[nn.Module] = []
        for number, (a, b) in enumerate(itertools.pairwise(widths)):
            layers.append(conv(a, b, 3, stride=2, padding=1, bias=number == 0))
            layers += [sample_norm(b)] if number else []
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, *size]` to `[B]` logits of being real."""
        logits: Tensor = self.head(self.layers(x).flatten(2).mean(2))[:, 0]
        return logits


def held(module: nn.Module, x: Tensor) -> Tensor:
    """What a module makes of `x` with its parameters held: the gradient reaches `x` and nothing else."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    out: Tensor = torch.func.functional_call(module, parameters, (x,))
    return out
