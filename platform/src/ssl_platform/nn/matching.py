"""Which token of one view belongs to which of another: by place in the source, or by likeness. No gradient.

Shapes: B batch, N tokens of the one view, M of the other, S spatial rank, D width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.losses.precision import widen
from ssl_platform.nn.constant import row
from ssl_platform.nn.point_tokenizer import cube_of
from ssl_platform.types import Features, Geometry, View


class Pairs(NamedTuple):
    """Matched tokens of two views, nearest first.

    Attributes:
        first: `[B, G]` int64 tokens of the one view.
        second: `[B, G]` int64, the nearest token of the other view to each.
        distance: `[B, G]` of the two.
    """

    first: Tensor
    second: Tensor
    distance: Tensor


@torch.no_grad()
def place_distance(a: View, tokens_a: Features, b: View, tokens_b: Features) -> Tensor:
    """Distances of token centres in the source, where flips, crops and turns of the views do not count.

    Along every axis the unit is the larger cell of the two views, over the root of S: two square cells of one size are
    one apart when they touch at a corner (Xie et al., 2021, PixPro, eq. 1). Axes of unlike units (seconds and hertz,
    thick slices) so count alike.

    Args:
        a, b: views of the same samples with their geometry.
        tokens_a, tokens_b: all tokens of each, in the order of `a` and `b`.

    Returns:
        `[B, N, M]` float32; infinite where a token is invalid.

    Raises:
        ValueError: a view has no geometry, or a backbone no tokens.
    """
    (place_a, cell_a), (place_b, cell_b) = _placed(a, tokens_a), _placed(b, tokens_b)
    unit = torch.maximum(cell_a, cell_b)[:, None] * math.sqrt(cell_a.shape[-1])
    apart = torch.cdist(place_a / unit, place_b / unit, compute_mode="donot_use_mm_for_euclid_dist")
    return _without(apart, tokens_a.valid, tokens_b.valid)


@torch.no_grad()
def feature_distance(a: Tensor, b: Tensor, valid_a: Tensor | None = None, valid_b: Tensor | None = None) -> Tensor:
    """`[B, N, M]` Euclidean distances of `[B, N, D]` and `[B, M, D]`, infinite where either is invalid (`[B, N]`)."""
    apart = torch.cdist(widen(a), widen(b), compute_mode="donot_use_mm_for_euclid_dist")
    return _without(apart, valid_a, valid_b)


@torch.no_grad()
def most_alike(a: Tensor, b: Tensor, valid_b: Tensor | None = None) -> Tensor:
    """`[B, N]` int64: the token of `b` `[B, M, D]` with the highest cosine to each of `a` `[B, N, D]`.

    Args:
        a: of any length.
        b: of any length.
        valid_b: `[B, M]` bool, tokens that may be chosen; None: all.
    """
    likeness = F.normalize(widen(a), dim=-1) @ F.normalize(widen(b), dim=-1).mT
    if valid_b is not None:
        likeness = likeness.masked_fill(~valid_b[:, None], -torch.inf)
    return likeness.argmax(dim=-1)


@torch.no_grad()
def nearest_pairs(distance: Tensor, count: int) -> Pairs:
    """The `count` tokens of the one view that lie nearest to some token of the other, each with that token.

    Args:
        distance: `[B, N, M]`, infinite where a token is invalid.
        count: G; no more than N are given. A sample with fewer valid tokens repeats its pairs, best first.
    """
    apart, second = distance.min(dim=2)
    ranked = apart.sort(dim=1, stable=True)
    real = ranked.values.isfinite().sum(dim=1, keepdim=True).clamp_min(1)
    rank = torch.arange(min(count, apart.shape[1]), device=apart.device) % real
    first = ranked.indices.gather(1, rank)
    return Pairs(first, second.gather(1, first), apart.gather(1, first))


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """`[B, G, D]` rows `index` `[B, G]` of `[B, N, D]`, with gradient."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def _placed(view: View, tokens: Features) -> tuple[Tensor, Tensor]:
    """`[B, N, S]` centres of tokens in the source and the `[B, S]` size of a cell along its axes."""
    if view.geometry is None or tokens.coords is None:
        raise ValueError(f"the {view.role!r} view has no geometry or no tokens: matching places needs both")
    coords, geometry = tokens.coords.float(), view.geometry
    rank, count = coords.shape[1:][::-1]
    if tokens.grid is not None:
        share = row([1 / n for n in tokens.grid], coords.dtype, coords.device)
    else:  # a set: N equal cells
        share = coords.new_full((rank,), count ** (-1 / rank))
    if view.x.ndim != rank + 2:
        coords = _within_box(view, coords)
    return geometry.to_source(coords), _cell(geometry, share)


def _cell(geometry: Geometry, share: Tensor) -> Tensor:
    """`[B, S]` extent along the source's axes of a cell that is the `[S]` share of a view."""
    return (geometry.matrix * share).square().sum(dim=-1).sqrt().clamp_min(1e-12)


def _within_box(view: View, coords: Tensor) -> Tensor:
    """Coordinates over the view's box of those over the cube around its points, as the point tokenizer gives them."""
    assert view.spacing is not None
    low, side = cube_of(view, coords.shape[-1])
    return (low[:, None] + coords * side[:, None, None]).float() / view.spacing[:, None] + 0.5


def _without(distance: Tensor, valid_a: Tensor | None, valid_b: Tensor | None) -> Tensor:
    """Infinite distances of invalid rows and columns."""
    if valid_a is not None:
        distance = distance.masked_fill(~valid_a[:, :, None], torch.inf)
    return distance if valid_b is None else distance.masked_fill(~valid_b[:, None], torch.inf)
