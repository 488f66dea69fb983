"""A decoder that turns the tokens of a point set into one prediction a point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.nn.point_groups import nearest_points
from ssl_platform.nn.point_tokenizer import cube_of
from ssl_platform.types import Features, View

NEIGHBOURS = 3


def interpolate(points: Tensor, centres: Tensor, values: Tensor, valid: Tensor | None = None) -> Tensor:
    """Values at points from the three nearest centres, weighed by their inverse squared distance.

    The feature propagation of PointNet++ (Qi et al., 2017, equation 2, arXiv:1706.02413).

    Args:
        points: `[B, N, S]`.
        centres: `[B, G, S]`.
        values: `[B, G, D]` at the centres.
        valid: `[B, G]` bool, centres that count; where fewer than three do, those alone.

    Returns:
        `[B, N, D]`.
    """
    index, distance = nearest_points(points, centres, min(NEIGHBOURS, centres.shape[1]), valid)
    weight = 1.0 / (distance.square() + 1e-8)
    weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-12)
    picked = values.gather(1, index.flatten(1)[..., None].expand(-1, -1, values.shape[-1]))
    return (picked.view(*index.shape, -1) * weight[..., None].to(values.dtype)).sum(2)


class PointDecoder(nn.Module):
    """Token features brought to the points, joined with the points themselves and the pooled vector, then an MLP.

    Args:
        rank: S, the first S channels of a point are its coordinates.
        channels: C of a point.
        dim: D of the encoder.
        outputs: numbers predicted for a point.
        width: of the hidden layers, in units of 8.
    """

    def __init__(self, rank: int, channels: int, dim: int, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.rank, hidden = rank, 8 * width
        self.norm, self.pool = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.token, self.whole = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.stem = nn.Sequential(nn.Linear(rank + channels, hidden), nn.LayerNorm(hidden), nn.GELU())
        self.head = nn.Sequential(
            nn.Linear(3 * hidden, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs)
        )

    def forward(self, features: Features, view: View) -> Tensor:
        """`[B, outputs, N]` logits.

        Args:
            features: of the backbone, all tokens present.
            view: the normalised view, x `[B, N, C]`.
        """
        assert features.tokens is not None and features.coords is not None
        low, side = cube_of(view, self.rank)
        place = (view.x[..., : self.rank] - low[:, None]) / side[:, None, None].clamp_min(1e-12)
        tokens = self.token(self.norm(features.tokens))
        near = interpolate(place, features.coords.to(place.dtype), tokens, features.valid)
        own = self.stem(torch.cat([place - 0.5, view.x], dim=-1))
        whole = self.whole(self.pool(features.pooled))[:, None].expand_as(own)
        found: Tensor = self.head(torch.cat([near, own, whole], dim=-1))
        return found.transpose(1, 2)
