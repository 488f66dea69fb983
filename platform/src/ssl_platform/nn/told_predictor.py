"""Predictors whose mask tokens are told more than their place: the type of the mask, or an action."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ssl_platform.nn.heads import mlp
from ssl_platform.nn.predictor import TokenPredictor
from ssl_platform.types import Features


class TypedPredictor(TokenPredictor):
    """One mask token a type of mask, which start at zero (V-JEPA: Bardes et al., 2024).

    Args:
        embed_dim: width of the context features and of the prediction.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        types: of mask.
        settings: further ones of `Predictor`.
    """

    def __init__(self, embed_dim: int, dim: int, depth: int, heads: int, *, types: int, **settings: Any) -> None:
        super().__init__(embed_dim, dim, depth, heads, **settings)
        self.mask_token = nn.Parameter(torch.zeros(types, dim))

    def of_type(self, number: int, features: Features, coords: Tensor, **known: Tensor | None) -> Tensor:
        """`[B, K, D]` prediction with the mask token of type `number`; the rest as in `TokenPredictor`."""
        queries = self.mask_token[number] + self.at(coords, known.get("kind"))
        made: Tensor = self(features, coords, queries=queries, **known)
        return made


class ActionPredictor(TokenPredictor):
    """Mask tokens that know how the target was changed against the context (IWM: Garrido et al., 2024).

    Each mask token with its place is joined with the action and brought back to its width by three layers, the paper's
    feature conditioning.

    Args:
        embed_dim: width of the context features and of the prediction.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        actions: numbers in an action, at least 1.
        settings: further ones of `Predictor`.
    """

    def __init__(self, embed_dim: int, dim: int, depth: int, heads: int, *, actions: int, **settings: Any) -> None:
        super().__init__(embed_dim, dim, depth, heads, **settings)
        self.mix = mlp(dim + actions, dim, dim, dim, norm=None, activation="gelu")

    def under(self, action: Tensor, features: Features, coords: Tensor, **known: Tensor | None) -> Tensor:
        """`[B, K, D]` prediction under an action `[B, A]`; the rest as in `TokenPredictor`."""
        plain = self.queries(coords, known.get("kind"))
        told = action.to(plain.dtype)[:, None].expand(-1, plain.shape[1], -1)
        queries = self.mix(torch.cat([plain.expand(told.shape[0], -1, -1), told], dim=-1))
        made: Tensor = self(features, coords, queries=queries, **known)
        return made
