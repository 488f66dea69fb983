"""The contract of a tokenizer."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_platform.types import Tokens, View


class Tokenizer(nn.Module):
    """Cuts a normalised view into tokens, and knows what each token's raw content was.

    Attributes:
        embed_dim: D of embedded tokens.
        target_dim: T of `targets`.
        rank: spatial rank S.
        kinds: number of kinds of token that `Tokens.kind` counts; 0 when tokens are all of one kind.
        patch: cells of a token along each axis of a grid; None for tokens of sets.
    """

    embed_dim: int
    target_dim: int
    rank: int
    kinds: int = 0
    patch: tuple[int, ...] | None = None

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view, without positions."""
        raise NotImplementedError

    def embed_values(self, values: Tensor) -> Tensor:
        """`[..., D]` embedding of `[..., V]` token values; called by `encode` for the tokens it encodes."""
        return values

    def embed_kind(self, kind: Tensor) -> Tensor:
        """`[..., D]` embedding of `[...]` kinds, which the backbone adds together with the position."""
        raise NotImplementedError(f"{type(self).__name__} makes tokens of one kind only")

    def targets(self, view: View) -> Tensor:
        """`[B, N, T]` raw content of every token of a normalised view."""
        raise NotImplementedError

    def target_valid(self, view: View) -> Tensor | None:
        """`[B, N, T]` bool, which target values are real, or None when all are."""
        raise NotImplementedError

    def loss(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[B, K]` error of each predicted token: the loss that suits this kind of token.

        Args:
            prediction, target: `[B, K, T]`.
            valid: `[B, K, T]` bool or None.
        """
        raise NotImplementedError

    def reconstruct(self, values: Tensor, view: View) -> Tensor:
        """The way back: `[B, N, T]` raw token contents to `[B, C, *size]` (or `[B, N, C]`)."""
        raise NotImplementedError
