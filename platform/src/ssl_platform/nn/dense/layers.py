"""Layers of dense decoders, for grids of any rank."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.nn.dense.maps import Stride, at_stride
from ssl_platform.nn.patches import grid_of
from ssl_platform.nn.sparse import CONV
from ssl_platform.types import Features

_TRANSPOSED: tuple[type[nn.ConvTranspose1d], type[nn.ConvTranspose2d], type[nn.ConvTranspose3d]] = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class DenseDecoder(nn.Module):
    """From the features of a backbone and the normalised view to `[B, outputs, *size]` logits.

    Attributes:
        name: what `finetune.decoder` calls it.
        taps: intermediate outputs it asks of the backbone.
    """

    name: ClassVar[str]
    taps: tuple[str, ...] = ()

    def forward(self, features: Features, x: Tensor) -> Tensor:
        """`[B, outputs, *size]` logits.

        Args:
            features: of the backbone with `taps`, all tokens present.
            x: `[B, C, *size]` the normalised view.
        """
        raise NotImplementedError


class MapNorm(nn.LayerNorm):
    """Layer norm over the features of each cell of `[B, D, *m]`."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvBlock(nn.Sequential):
    """Convolution of width 3, group norm, GELU; as often as asked.

    Args:
        rank: S.
        inputs, outputs: channels.
        repeats: how often.
    """

    def __init__(self, rank: int, inputs: int, outputs: int, repeats: int = 2) -> None:
        groups = 4 if outputs % 4 == 0 else 1
        layers: list[nn.Module] = []
        for number in range(repeats):
            conv = CONV[rank - 1](inputs if number == 0 else outputs, outputs, 3, padding=1)
            layers += [conv, nn.GroupNorm(groups, outputs), nn.GELU()]
        super().__init__(*layers)


class Rise(nn.Module):
    """From one stride to a finer one: a transposed convolution without overlap, or interpolation and a 1x1 one.

    The second is for strides that are no whole multiple of the finer one.

    Args:
        inputs, outputs: channels.
        stride, to: along each axis.
    """

    def __init__(self, inputs: int, outputs: int, stride: Stride, to: Stride) -> None:
        super().__init__()
        self.stride, self.finer, rank = stride, to, len(stride)
        factor = tuple(s // t for s, t in zip(stride, to, strict=True))
        self.exact = all(s == f * t for s, f, t in zip(stride, factor, to, strict=True))
        if self.exact:
            self.conv: nn.Module = _TRANSPOSED[rank - 1](inputs, outputs, factor, stride=factor)  # type: ignore[arg-type]
        else:
            self.conv = CONV[rank - 1](inputs, outputs, 1)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """`[B, inputs, *m]` to `[B, outputs, *cells of the finer stride over a view of size]`."""
        if not self.exact:
            found: Tensor = self.conv(at_stride(x, self.stride, self.finer, size))
            return found
        # A net that leaves the last cells of the view out has a smaller map than its stride says.
        missing = [max(0, w - m) for w, m in zip(grid_of(size, self.stride), x.shape[2:], strict=True)]
        if any(missing):
            x = F.pad(x, [n for m in reversed(missing) for n in (0, m)], mode="replicate")
        return at_stride(self.conv(x), self.finer, self.finer, size)


def way_up(dim: int, widths: Sequence[int], levels: Sequence[Stride]) -> nn.ModuleList:
    """A `Rise` to each level from the next coarser one, finest first.

    Args:
        dim: channels at the coarsest level.
        widths: channels at each other level.
        levels: strides, finest first.
    """
    into = [*widths[1:], dim]
    return nn.ModuleList([Rise(into[i], widths[i], coarse, fine) for i, (fine, coarse) in enumerate(pairwise(levels))])
