"""Discrete targets: one code a token, from a frozen encoder with or without a codebook of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.codebook import Codebook
from ssl_platform.nn.frozen import Frozen
from ssl_platform.nn.validity import zero_invalid
from ssl_platform.types import Features, Tokens, View

ROWS = "codebook.rows"


class TokenCodes(nn.Module):
    """Gives every token a code.

    A tokenizer trained with the objective `vq-kd` brings its codebook. Any other encoder gets one: k-means on the unit
    directions of its tokens' features.

    Args:
        frozen: the tokenizer.
        codes: size of the codebook where the tokenizer brings none.
    """

    def __init__(self, frozen: Frozen, codes: int) -> None:
        super().__init__()
        self.frozen = frozen
        self.codebook = None if ROWS in frozen.parts else Codebook(codes, frozen.embed_dim, centred=True)

    @property
    def count(self) -> int:
        """V, number of codes."""
        return len(self.frozen.parts[ROWS]) if self.codebook is None else len(self.codebook)

    @torch.no_grad()
    def forward(self, view: View, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Codes of a student's tokens.

        Args:
            view: what both read, so that codes and tokens share their places.
            tokens: the student's.

        Returns:
            `[B, N]` int64 codes, and the tokenizer's features `[B, N', d]` (zero where invalid) for `learn`.
        """
        features = self.frozen(view)
        assert features.tokens is not None
        points = F.layer_norm(features.tokens, features.tokens.shape[-1:])
        if self.codebook is None:
            parts = {name: value.to(points.dtype) for name, value in self.frozen.parts.items()}
            inner = torch.tanh(F.linear(features.tokens, parts["to_code.0.weight"], parts["to_code.0.bias"]))
            points = F.linear(inner, parts["to_code.2.weight"], parts["to_code.2.bias"])
            ids = (F.normalize(points, dim=-1) @ parts[ROWS].T).argmax(dim=-1)
        else:
            points = zero_invalid(points, features.valid)
            ids = self.codebook.ids(points)
        return at_tokens(ids, features, tokens), points

    def learn(self, points: Tensor, decay: float) -> None:
        """Move the own codebook by points `[n, d]`."""
        if self.codebook is not None:
            self.codebook.learn(points, decay)


def at_tokens(values: Tensor, features: Features, tokens: Tokens) -> Tensor:
    """What another encoder says of each token: `[B, N', ...]` at its own tokens to `[B, N, ...]` at these.

    The same grid (or the same number of tokens of a set, in the same order) needs nothing; else the nearest counts.
    """
    if features.grid == tokens.grid and values.shape[1] == tokens.count:
        return values
    assert features.coords is not None
    apart = torch.cdist(tokens.coords, features.coords.to(tokens.coords.dtype))
    if features.valid is not None:
        apart = apart.masked_fill(~features.valid[:, None], torch.inf)
    index = apart.argmin(dim=-1)
    index = index.view(*index.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return values.gather(1, index)
