"""The contract of a backbone, and the normalisation that is its first layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.nn.positions import STEPS
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.types import Features, Mask, Tokens, View


class Normaliser(nn.Module):
    """Per-channel affine normalisation held in buffers; invalid cells become exactly zero.

    Args:
        channels: channel names the statistics belong to.
        points: whether input is `[B, N, C]`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: Sequence[str], points: bool = False) -> None:
        super().__init__()
        self.points = points
        self.channels = tuple(channels)
        self.register_buffer("mean", torch.zeros(len(self.channels)))
        self.register_buffer("std", torch.ones(len(self.channels)))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Store the statistics of valid values: `[C]` each."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))

    def statistics(self, channels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Mean and deviation of a view's channels, matched by name where they are not all of them in order."""
        names = tuple(channels)
        if not names or names == self.channels or not set(names) <= set(self.channels):
            return self.mean, self.std
        rows = [self.channels.index(name) for name in names]
        # Stacked one by one: indexing with a list would copy it to the device and make the host wait.
        return torch.stack([self.mean[r] for r in rows]), torch.stack([self.std[r] for r in rows])

    def forward(self, view: View) -> Tensor:
        """`[B, C, *size]` (or `[B, N, C]`) normalised, zero where invalid."""
        spread = [1] * (view.x.ndim - 2)
        shape = (1, 1, -1) if self.points else (1, -1, *spread)
        zero = torch.zeros((), dtype=view.x.dtype, device=view.x.device)
        mean, std = self.statistics(view.channels)
        # In place: large views cost more to allocate than to divide.
        x = (view.x - mean.view(shape)).div_(std.view(shape))
        if view.valid is not None:
            x = torch.where(view.valid.unsqueeze(-1 if self.points else 1), x, zero)
        if view.channel_valid is not None:
            keep = view.channel_valid[:, None] if self.points else view.channel_valid.view(x.shape[0], -1, *spread)
            x = torch.where(keep, x, zero)
        return x


class Backbone(nn.Module):
    """Turns a view into features.

    `backbone(view)` normalises, tokenizes and encodes. Methods that mask call `tokenize` and then `encode`.

    Attributes:
        embed_dim: D of the pooled output.
        offers: from the closed list `ssl_platform.plan.Offer`.
        normaliser: the first layer.
        tokenizer: None for nets without tokens.
        steps: position steps across a view along each axis, for decoders that share its places.
        depth: blocks whose outputs `taps` can name; 0 for nets that offer none.
        spec: how to build it again, set by `ssl_platform.nn.backbones.build`.
    """

    embed_dim: int
    spec: BackboneSpec | None = None
    offers: frozenset[str] = frozenset()
    normaliser: nn.Module
    tokenizer: Tokenizer | None
    steps: Sequence[float] | float = STEPS
    depth: int = 0

    def __init__(self) -> None:
        super().__init__()
        # Registered, for a class attribute of None would hide the submodule that a subclass sets.
        self.register_module("tokenizer", None)

    def normalise(self, view: View) -> View:
        """The view with its first layer applied."""
        return view.replace(x=self.normaliser(view))

    def tokenize(self, view: View) -> Tokens:
        """Tokens of a raw view (normalised here), before positions are added."""
        if self.tokenizer is None:
            raise NotImplementedError(f"{type(self).__name__} has no tokens")
        tokens: Tokens = self.tokenizer(self.normalise(view))
        return tokens

    def targets(self, view: View) -> Tensor:
        """`[B, N, T]` raw reconstruction target of every token of a raw view."""
        if self.tokenizer is None:
            raise NotImplementedError(f"{type(self).__name__} has no tokens")
        return self.tokenizer.targets(self.normalise(view))

    def target_valid(self, view: View) -> Tensor | None:
        """`[B, N, T]` bool, which target values are real, or None when all are."""
        return None if self.tokenizer is None else self.tokenizer.target_valid(view)

    def encode(
        self,
        tokens: Tokens,
        visible: Mask | None = None,
        *,
        replaced: Mask | None = None,
        mask_token: Tensor | None = None,
        taps: Sequence[str] = (),
    ) -> Features:
        """Encode tokens.

        Args:
            tokens: from `tokenize`.
            visible: encode these only (needs `drop`).
            replaced: put `mask_token` there and encode all (needs `mask_token`).
            mask_token: `[D]`.
            taps: names of intermediate outputs: `block.8`, `block.8.ffn`, `block.-1.k`.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot encode tokens")

    def forward(self, view: View, visible: Mask | None = None, taps: Sequence[str] = ()) -> Features:
        """Features of a raw view."""
        return self.encode(self.tokenize(view), visible, taps=taps)
