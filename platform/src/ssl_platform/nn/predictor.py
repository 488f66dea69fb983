"""Predictors: from some tokens' features to what lies at other places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.nn.block import Block, CrossBlock, init_transformer, key_mask
from ssl_platform.nn.positions import STEPS, places
from ssl_platform.types import Features

CONTENT = 0.5  # of the projected features over their Xavier matrix, so that places lead attention at the start


class Placed(nn.Module):
    """What a token knows by where it is and which kind it is of.

    Coordinates span `[0, 1]` over the view, so grids of any rank and sets need no table.

    Args:
        dim: width inside.
        kinds: kinds of token (channels), each with a learned embedding; 0 when tokens are all of one kind.
        steps: position steps across a view.
    """

    def __init__(self, dim: int, kinds: int = 0, steps: Sequence[float] | float = STEPS) -> None:
        super().__init__()
        self.dim, self.steps = dim, steps
        self.kind = nn.Embedding(kinds, dim) if kinds else None
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def reset(self) -> None:
        """A transformer's start, once all submodules exist."""
        self.apply(init_transformer)
        if self.kind is not None:
            nn.init.normal_(self.kind.weight, std=0.02)

    def at(self, coords: Tensor, kind: Tensor | None = None) -> Tensor:
        """`[B, ..., D]` embedding of places `[B, ..., S]` and kinds `[B, ...]`."""
        place = places(coords, self.dim, self.steps).to(self.norm.weight.dtype)
        return place if kind is None or self.kind is None else place + self.kind(kind)


class Places(Placed):
    """What predictors and decoders share: the projection in, mask tokens at given places, and the head.

    Place and kind are all a mask token knows.

    Args:
        embed_dim: width of the features that come in.
        out_dim: width of what is predicted.
        dim: width inside.
        kinds, steps: as in `Placed`.
    """

    def __init__(
        self, embed_dim: int, out_dim: int, dim: int, kinds: int = 0, steps: Sequence[float] | float = STEPS
    ) -> None:
        super().__init__(dim, kinds, steps)
        self.embed = nn.Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(dim))
        self.head = nn.Linear(dim, out_dim)

    def reset(self) -> None:
        """MAE's start, once all submodules exist."""
        super().reset()
        with torch.no_grad():
            self.embed.weight.mul_(CONTENT)
        nn.init.normal_(self.mask_token, std=0.02)

    def context(self, features: Features, kind: Tensor | None = None) -> Tensor:
        """`[B, P + K, D]` projected features, prefix tokens first (they have no place).

        Raises:
            ValueError: the features have no tokens.
        """
        if features.tokens is None or features.coords is None:
            raise ValueError("predictors need token features: this backbone gives pooled ones only")
        x = self.embed(features.tokens) + self.at(features.coords, kind)
        return torch.cat([self.embed(features.prefix).to(x.dtype), x], dim=1) if features.prefix.shape[1] else x

    def queries(self, coords: Tensor, kind: Tensor | None = None) -> Tensor:
        """`[B, ..., D]` mask tokens at places `[B, ..., S]`."""
        return self.mask_token + self.at(coords, kind)

    def out(self, x: Tensor) -> Tensor:
        """The head on normalised outputs."""
        made: Tensor = self.head(self.norm(x))
        return made


class Predictor(Places):
    """Blocks between places and a head; subclasses say which blocks, and what they read.

    Args:
        embed_dim: width of the context features.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        out_dim: width of the prediction; None: `embed_dim`.
        kinds: as in `Places`.
        steps: as in `Places`.
    """

    def __init__(
        self,
        embed_dim: int,
        dim: int,
        depth: int,
        heads: int,
        *,
        out_dim: int | None = None,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__(embed_dim, embed_dim if out_dim is None else out_dim, dim, kinds, steps)
        self.make_blocks(dim, depth, heads)
        self.reset()

    def make_blocks(self, dim: int, depth: int, heads: int) -> None:
        """Make `blocks` and what belongs to them."""
        raise NotImplementedError


class TokenPredictor(Predictor):
    """A narrow transformer over context features and mask tokens (I-JEPA: Assran et al., 2023; MAE's decoder).

    Takes what `Predictor` takes.
    """

    def make_blocks(self, dim: int, depth: int, heads: int) -> None:
        """Self-attention over context and mask tokens."""
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])

    def forward(
        self,
        features: Features,
        coords: Tensor,
        *,
        valid: Tensor | None = None,
        context_kind: Tensor | None = None,
        kind: Tensor | None = None,
        queries: Tensor | None = None,
    ) -> Tensor:
        """Predict.

        Args:
            features: of the context, as `encode` gave them.
            coords: `[B, K, S]` places to predict; `[B, M, K, S]` are M target sets, each predicted by itself.
            valid: `[B, K]` (or `[B, M, K]`) bool, which of them are real; the others are hidden.
            context_kind: kinds of the context tokens, `[B, N]`.
            kind: kinds of the places.
            queries: `[B, K, D]` (or `[B * M, K, D]`) what stands at the places instead of the mask tokens.

        Returns:
            `[B, K, T]` or `[B, M, K, T]`.
        """
        context = self.context(features, context_kind)
        several = coords.ndim == 4
        sets = coords.shape[1] if several else 1
        if several:
            coords = coords.flatten(0, 1)
            kind, valid = (None if part is None else part.flatten(0, 1) for part in (kind, valid))
        queries = self.queries(coords, kind) if queries is None else queries
        x = torch.cat([_repeat(context, sets), queries], dim=1)
        mask = keys_of(features, valid, coords)
        for block in self.blocks:
            x = block(x, mask)
        out = self.out(x[:, context.shape[1] :])
        return out.unflatten(0, (-1, sets)) if several else out


class CrossPredictor(Predictor):
    """Queries that read the context and never one another (CAPI: Darcet et al., 2025).

    What is predicted at a place does not depend on which other places are asked for. Takes what `Predictor` takes.
    """

    def make_blocks(self, dim: int, depth: int, heads: int) -> None:
        """Cross-attention to the normalised context."""
        self.memory_norm = nn.LayerNorm(dim, eps=1e-6)
        self.blocks = nn.ModuleList([CrossBlock(dim, heads, self_attention=False) for _ in range(depth)])

    def forward(
        self,
        features: Features,
        coords: Tensor,
        *,
        context_kind: Tensor | None = None,
        kind: Tensor | None = None,
    ) -> Tensor:
        """`[B, K, T]` predictions at places `[B, K, S]`; arguments as in `TokenPredictor`."""
        memory = self.memory_norm(self.context(features, context_kind))
        mask = key_mask(features.valid, features.prefix.shape[1])
        x = self.queries(coords, kind)
        for block in self.blocks:
            x = block(x, memory, None, mask)
        return self.out(x)


def keys_of(features: Features, valid: Tensor | None, coords: Tensor) -> Tensor | None:
    """Attention mask over a context (prefix tokens first) and mask tokens; None when all are real.

    Args:
        features: of the context.
        valid: `[B, K]` bool validity of the mask tokens, or None.
        coords: `[B, K, S]` their places.
    """
    if features.valid is None and valid is None:
        return None
    assert features.tokens is not None
    seen = features.valid
    if seen is None:
        seen = torch.ones(features.tokens.shape[:2], dtype=torch.bool, device=coords.device)
    if valid is None:
        valid = torch.ones(coords.shape[:2], dtype=torch.bool, device=coords.device)
    sets = len(valid) // len(seen)
    return key_mask(torch.cat([_repeat(seen, sets), valid], dim=1), features.prefix.shape[1])


def _repeat(x: Tensor, sets: int) -> Tensor:
    """`[B, ...]` to `[B * M, ...]`, copies of a sample next to each other."""
    return x if sets == 1 else x[:, None].expand(-1, sets, *x.shape[1:]).flatten(0, 1)
