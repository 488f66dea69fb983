"""A light convolutional decoder over tokens: grids of any rank, and sets through their nearest neighbours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.nn.decoder import start_from_mean
from ssl_platform.nn.positions import STEPS, places
from ssl_platform.nn.validity import zero_invalid
from ssl_platform.types import Features, Mask, Tokens

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class TokenConv(nn.Module):
    """Grouped convolution of tokens, layer norm without parameters, GELU, and a residual where widths agree.

    Args:
        in_dim: width of the input.
        out_dim: width of the output.
        rank: S.
        kernel: tokens along each axis, an odd number.
        groups: of the features; both widths are multiples of it.
    """

    def __init__(self, in_dim: int, out_dim: int, rank: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.rank, self.kernel, self.groups = rank, kernel, groups
        taps = kernel**rank
        self.weight = nn.Parameter(torch.empty(out_dim, in_dim // groups, taps))
        self.bias = nn.Parameter(torch.zeros(out_dim))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, grid: tuple[int, ...] | None, near: Tensor | None) -> Tensor:
        """Mix each token with its neighbours.

        Args:
            x: `[B, N, D]`, zero where invalid.
            grid: the token grid, or None.
            near: for sets `[B, N, k]` the neighbours of every token, nearest first: the order takes the place of the
                kernel's cells.
        """
        if grid is not None:
            kernel = self.weight.unflatten(2, (self.kernel,) * self.rank)
            cells = x.transpose(1, 2).unflatten(2, grid)
            y = _CONV[self.rank](cells, kernel, self.bias, padding=self.kernel // 2, groups=self.groups)
            y = y.flatten(2).transpose(1, 2)
        else:
            assert near is not None
            b, n, k = near.shape
            around = x.gather(1, near.flatten(1)[..., None].expand(-1, -1, x.shape[-1])).view(b * n, k, -1)
            y = F.conv1d(around.transpose(1, 2), self.weight[..., :k], self.bias, groups=self.groups).view(b, n, -1)
        y = F.gelu(F.layer_norm(y, y.shape[-1:]))
        return y + x if y.shape == x.shape else y


class ConvDecoder(nn.Module):
    """Fills masked places with noise and predicts every place from its neighbours (Baevski et al., 2023).

    On a grid the convolution tells places apart; the slots of a set also carry a position, and those of several kinds
    their kind.

    Args:
        embed_dim: width of the features and of the prediction.
        dim: width inside.
        depth: layers.
        rank: S.
        kernel: tokens along each axis, an odd number.
        groups: of the features, reduced to a divisor of both widths.
        kinds: kinds of token (channels); 0 when they are all of one kind.
        steps: position steps across a view.

    Raises:
        ConfigError: the kernel is even.
    """

    def __init__(
        self,
        embed_dim: int,
        dim: int,
        depth: int,
        rank: int,
        *,
        kernel: int = 3,
        groups: int = 16,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ConfigError(f"a decoder of kernel {kernel} has no middle: use an odd number")
        self.steps, self.neighbours = steps, kernel**rank
        groups = math.gcd(groups, math.gcd(embed_dim, dim))
        widths = (embed_dim, *[dim] * depth)
        self.layers = nn.ModuleList([TokenConv(a, b, rank, kernel, groups) for a, b in itertools.pairwise(widths)])
        self.head = nn.Linear(dim, embed_dim)
        self.kind = nn.Embedding(kinds, embed_dim) if kinds else None
        start_from_mean(self.head)
        if self.kind is not None:
            nn.init.normal_(self.kind.weight, std=0.02)

    def forward(self, features: Features, visible: Mask, tokens: Tokens, noise: Tensor) -> Tensor:
        """Predict every place.

        Args:
            features: of the visible tokens, `[B * M, K, D]`.
            visible: `[B, K]` or `[B, M, K]`, where they belong.
            tokens: all of them, `[B, N]`.
            noise: `[B, N, D]`, what lies in masked places.

        Returns:
            `[B * M, N, D]`.
        """
        assert features.tokens is not None
        sets = visible.index.shape[1] if visible.index.ndim == 3 else 1
        x = filled(features.tokens, visible, _copies(noise.to(features.tokens.dtype), sets))
        valid = None if tokens.valid is None else _copies(tokens.valid, sets)
        if tokens.grid is None:
            x = x + _copies(places(tokens.coords, x.shape[-1], self.steps).to(x.dtype), sets)
        if self.kind is not None and tokens.kind is not None:
            x = x + _copies(self.kind(tokens.kind), sets)
        near = None if tokens.grid is not None else _copies(nearest_tokens(tokens, self.neighbours), sets)
        for layer in self.layers:
            x = layer(zero_invalid(x, valid), tokens.grid, near)
        made: Tensor = self.head(x)
        return made


def filled(values: Tensor, mask: Mask, ground: Tensor) -> Tensor:
    """`ground [B * M, N, D]` with `values [B * M, K, D]` at the places of a mask `[B, K]` or `[B, M, K]`."""
    index = mask.index.flatten(0, -2)
    if mask.valid is not None:
        # Padding may repeat a real place, so it is sent to a row of its own that is cut off.
        index = torch.where(mask.valid.flatten(0, -2), index, torch.full_like(index, mask.total))
    rows = F.pad(ground, (0, 0, 0, 1))
    return rows.scatter(1, index[..., None].expand(-1, -1, values.shape[-1]), values)[:, : mask.total]


@torch.no_grad()
def nearest_tokens(tokens: Tokens, count: int) -> Tensor:
    """`[B, N, k]` the tokens nearest to each, itself first; k is `count`, or all there are.

    Of tokens at one place those of the same kind come first; invalid tokens come last.
    """
    apart = torch.cdist(tokens.coords, tokens.coords)
    if tokens.kind is not None:
        apart = apart + 1e-3 * (tokens.kind[:, :, None] != tokens.kind[:, None])
    if tokens.valid is not None:
        apart = apart.masked_fill(~tokens.valid[:, None], torch.inf)
    return apart.argsort(dim=-1, stable=True)[..., : min(count, tokens.count)]


def _copies(x: Tensor, sets: int) -> Tensor:
    """`[B, ...]` to `[B * M, ...]`, copies of a sample next to each other."""
    return x if sets == 1 else x[:, None].expand(-1, sets, *x.shape[1:]).flatten(0, 1)
