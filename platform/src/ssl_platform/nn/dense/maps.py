"""The maps a dense decoder is given, and how they lie over the view.

Shapes: B batch, D features, n cells of the view, m cells of a map. Cell j of a map with stride s covers the cells
`j * s` to `(j + 1) * s` of the view along an axis; the last one may reach beyond its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.nn.patches import grid_of
from ssl_platform.types import Features, View

Stride = tuple[int, ...]
INTERPOLATION = ("linear", "bilinear", "trilinear")


@dataclass(frozen=True)
class Source:
    """What a backbone gives for views of one kind.

    Attributes:
        name: of the backbone, for messages.
        rank: S of views and maps.
        channels: C of a view.
        dims: features of each map, fine to coarse.
        strides: of each map along each axis.
        depth: blocks whose tokens can be taken besides; 0 where none can.
        prefix: tokens in front of those of the grid, in the tokens of a block.
        dim: features of such tokens.
    """

    name: str
    rank: int
    channels: int
    dims: tuple[int, ...]
    strides: tuple[Stride, ...]
    depth: int = 0
    prefix: int = 0
    dim: int = 0

    @property
    def plain(self) -> bool:
        """Whether there is one map, and the tokens of its blocks lie on the same grid: a plain ViT."""
        return len(self.dims) == 1 and self.depth > 0


def source_of(backbone: Backbone, view: View) -> Source:
    """Look at what a backbone makes of a view.

    Args:
        backbone: in evaluation mode, on the view's device.
        view: any view of the kind that will come.

    Raises:
        ValueError: it gives neither a feature pyramid nor tokens on a grid of the view's rank.
    """
    with torch.no_grad():
        features = backbone(view.replace(x=view.x[:1], valid=None, channel_valid=None))
    maps, size = feature_maps(features), tuple(view.x.shape[2:])
    if any(m.ndim - 2 != len(size) for m in maps):
        raise ValueError(f"dense prediction needs maps of the view's {len(size)} axes, not {maps[0].ndim - 2}")
    if isinstance(backbone.tokenizer, PatchTokenizer):  # the view is padded to whole patches
        patch = backbone.tokenizer.patch
        padded = [g * p for g, p in zip(grid_of(size, patch), patch, strict=True)]
        strides = [tuple(n // m for n, m in zip(padded, x.shape[2:], strict=True)) for x in maps]
    else:
        strides = [_stride(size, x.shape[2:]) for x in maps]
    taps = len(maps) == 1 and "taps" in backbone.offers and features.grid is not None
    return Source(
        name=backbone.spec.name if backbone.spec is not None else type(backbone).__name__,
        rank=len(size),
        channels=view.x.shape[1],
        dims=tuple(m.shape[1] for m in maps),
        strides=tuple(strides),
        depth=backbone.depth if taps else 0,
        prefix=features.prefix.shape[1],
        dim=features.tokens.shape[-1] if features.tokens is not None else 0,
    )


def feature_maps(features: Features) -> list[Tensor]:
    """The maps `[B, D, *m]` of a backbone's output, fine to coarse: its pyramid, or its tokens on their grid.

    Raises:
        ValueError: the backbone has neither (a point set).
    """
    if features.pyramid:
        return [feature for feature, _ in features.pyramid]
    if features.tokens is None or features.grid is None:
        raise ValueError("dense prediction needs a feature pyramid or tokens on a grid")
    tokens = features.tokens.transpose(1, 2)
    return [tokens.reshape(*tokens.shape[:2], *features.grid)]


def evenly(depth: int, count: int) -> tuple[str, ...]:
    """Names of the outputs of `count` of `depth` blocks in equal steps, the last block at the end."""
    return tuple(f"block.{max(0, math.ceil(depth * (i + 1) / count) - 1)}" for i in range(count))


def halvings(stride: Stride) -> list[Stride]:
    """Strides from 1 along each axis up to `stride`, each about half of the next: (1, 1), (1, 2), (2, 4) for (2, 4)."""
    found = [stride]
    while max(found[0]) > 1:
        found.insert(0, tuple(-(-s // 2) for s in found[0]))
    return found


def at_stride(x: Tensor, stride: Stride, to: Stride, size: Sequence[int]) -> Tensor:
    """A map `[B, D, *m]` of one stride, interpolated to another over a view of `size`.

    What reaches beyond the view is cut off after it is interpolated, so that cells stay over what they describe; a map
    that falls short of the view's end (a net that leaves the last cells out) is stretched.
    """
    wanted = grid_of(size, to)
    cells = [round(m * s / t) for m, s, t in zip(x.shape[2:], stride, to, strict=True)]
    covered = [max(n, w) for n, w in zip(cells, wanted, strict=True)]
    if list(x.shape[2:]) != covered:
        x = F.interpolate(x, size=covered, mode=INTERPOLATION[x.ndim - 3], align_corners=False)
    return x[(slice(None), slice(None), *(slice(n) for n in wanted))]


def _stride(size: Sequence[int], cells: Sequence[int]) -> Stride:
    """The power of two along each axis that gives a map of so many cells."""
    return tuple(2 ** max(0, round(math.log2(n / m))) for n, m in zip(size, cells, strict=True))
