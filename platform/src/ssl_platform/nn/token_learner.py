"""Few learnt tokens in place of many, and the way back (TokenLearner: Ryoo et al., NeurIPS 2021, arXiv:2106.11297).

Shapes: B batch, N tokens, D width, S learnt tokens.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ssl_platform.nn.block import Mlp
from ssl_platform.nn.validity import zero_invalid


class TokenLearner(nn.Module):
    """S weighted sums of N tokens, each with weights of its own; tokens carry their places, so order means nothing.

    Video: fold frames into the batch, `[B * T, N, D]`, for S tokens a frame.

    Args:
        dim: D.
        tokens: S.
        hidden: width of the net that weighs tokens.
        weighting: `softmax` over the tokens (version 1.1): each result is a convex combination. `sigmoid` (version 1):
            each token is weighed on its own and the sums grow with N. Version 1's convolutions over a grid are
            left out: sets and subsets of tokens have none.
    """

    def __init__(
        self, dim: int, tokens: int, hidden: int = 64, weighting: Literal["softmax", "sigmoid"] = "softmax"
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, tokens))
        self.weighting = weighting

    def weights(self, x_BND: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[B, N, S]` weights; 0 at invalid tokens (`valid [B, N]` bool)."""
        scores: Tensor = self.score(self.norm(x_BND))
        if self.weighting == "sigmoid":
            return zero_invalid(scores.sigmoid(), valid)
        if valid is not None:
            # Not -inf: the softmax of a sample without any valid token must stay finite.
            scores = scores.masked_fill(~valid[..., None], torch.finfo(scores.dtype).min)
        return zero_invalid(scores.softmax(dim=1), valid)

    def forward(self, x_BND: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[B, S, D]`."""
        return self.weights(x_BND, valid).transpose(1, 2) @ zero_invalid(x_BND, valid)


class TokenFuser(nn.Module):
    """Mixes S tokens among themselves and writes them to N places, each with weights of its own.

    The mixing starts as the identity.

    Args:
        dim: D.
        tokens: S.
        hidden: width of the net that weighs tokens.
    """

    def __init__(self, dim: int, tokens: int, hidden: int = 64) -> None:
        super().__init__()
        self.norm, self.norm_mixed = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.norm_place = nn.LayerNorm(dim, eps=1e-6)
        self.mix = nn.Linear(tokens, tokens)
        self.place = Mlp(dim, hidden)
        self.place.fc2 = nn.Linear(hidden, tokens)
        self.reset()

    def reset(self) -> None:
        """Start the mixing as the identity."""
        nn.init.eye_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x_BND: Tensor, z_BSD: Tensor) -> Tensor:
        """`[B, N, D]` places with the learnt tokens added."""
        mixed = self.norm_mixed(self.mix(self.norm(z_BSD).transpose(1, 2)).transpose(1, 2))
        return x_BND + self.place(self.norm_place(x_BND)).sigmoid() @ mixed
