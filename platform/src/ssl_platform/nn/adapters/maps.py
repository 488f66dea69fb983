"""From feature maps to `Features`, for nets that know nothing of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.patches import patch_coords
from ssl_platform.nn.validity import valid_mean
from ssl_platform.types import Features, Mask, Tokens, View

_POOL = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)


class MapBackbone(Backbone):
    """A net that turns `[B, C, *size]` into maps from fine to coarse.

    The cells of the coarsest map are its tokens; pooling is their mean where any of their cells are valid. Subclasses
    define `maps`.
    """

    offers = frozenset({"tokens", "pyramid"})

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, *grid_i]` maps, fine to coarse."""
        raise NotImplementedError

    def forward(self, view: View, visible: Mask | None = None, taps: Sequence[str] = ()) -> Features:
        """Features of a raw view; subsets and intermediate outputs are not offered."""
        if visible is not None or taps:
            raise NotImplementedError(f"{type(self).__name__} offers neither visible subsets nor outputs by name")
        return features_of(self.maps(self.normaliser(view)), view)

    def encode(self, tokens: Tokens, *args: object, **settings: object) -> Features:
        """Not offered: this net has no tokens before its last map."""
        raise NotImplementedError(f"{type(self).__name__} encodes views, not tokens")


def features_of(maps: Sequence[Tensor], view: View) -> Features:
    """Features whose tokens are the cells of the coarsest map.

    Args:
        maps: fine to coarse.
        view: what they were made of.
    """
    last = maps[-1]
    grid = tuple(last.shape[2:])
    tokens = last.flatten(2).transpose(1, 2)
    valid = None
    if view.valid is not None:
        cells = _POOL[len(grid) - 1](view.valid[:, None].float(), grid)
        valid = cells.flatten(1) > 0
    size = view.x.shape[2:]
    strides = [max(round(n / m) for n, m in zip(size, x.shape[2:], strict=True)) for x in maps]
    return Features(
        pooled=valid_mean(tokens, valid),
        prefix=tokens.new_zeros(tokens.shape[0], 0, tokens.shape[-1]),
        tokens=tokens,
        coords=patch_coords(grid, (1,) * len(grid), last),
        valid=valid,
        grid=grid,
        pyramid=list(zip(maps, strides, strict=True)),
    )
