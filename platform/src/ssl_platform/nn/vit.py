"""The vision transformer for grids of any rank and for sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbone import Backbone, Normaliser
from ssl_platform.nn.block import Block, init_transformer, key_mask
from ssl_platform.nn.channel_tokenizer import ChannelTokenizer
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.nn.patches import grid_of
from ssl_platform.nn.point_tokenizer import PointTokenizer
from ssl_platform.nn.positions import STEPS, SinCos
from ssl_platform.nn.sizes import Size, size_of
from ssl_platform.nn.subset import flat, subset
from ssl_platform.nn.taps import Taps
from ssl_platform.nn.token_learner import TokenFuser, TokenLearner
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.nn.validity import valid_mean, zero_invalid
from ssl_platform.types import Features, Layout, Mask, Tokens


class ViT(Backbone):
    """Vision transformer (Dosovitskiy et al., 2021): tokens plus sine-cosine positions, pre-norm blocks, final norm.

    Positions come from coordinates, so weights work on any grid. Invalid tokens are hidden as keys, left out of
    pooling and zero in the output; a batch without validity takes the unmasked path.

    Args:
        normaliser: first layer.
        tokenizer: of any kind.
        size: width, depth and heads.
        positions: embeds coordinates with the same width.
        cls: class tokens.
        registers: further prefix tokens (Darcet et al., 2024, arXiv:2309.16588): without place, never masked, pooled or
            decoded.
        pool: `cls` takes the first class token, `mean` the mean of valid tokens.
        mlp_ratio: width of the MLPs over D.
        layer_scale: start of the layer scale, or None.
        drop_path: probability at the last block, rising linearly from 0 at the first.
        learned_tokens: so many tokens go on in place of all (see `TokenLearner`), and are written back to all places
            after the last block; 0 for none. Intermediate outputs are then not offered.
        learned_after: fraction of the blocks that still see all tokens.

    Raises:
        ConfigError: `pool="cls"` without a class token, or no block left for learnt tokens.
    """

    offers = frozenset({"tokens", "drop", "mask_token", "taps", "attention", "attn_mask"})

    def __init__(
        self,
        normaliser: nn.Module,
        tokenizer: Tokenizer,
        size: Size,
        positions: SinCos,
        *,
        cls: int = 1,
        registers: int = 0,
        pool: Literal["cls", "mean"] = "mean",
        mlp_ratio: float = 4.0,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        learned_tokens: int = 0,
        learned_after: float = 0.5,
    ) -> None:
        super().__init__()
        if pool not in ("cls", "mean") or (pool == "cls" and cls < 1):
            raise ConfigError(f"backbone.pool={pool!r} with {cls} class tokens: use mean, or cls with backbone.cls=1")
        self.normaliser, self.tokenizer, self.positions = normaliser, tokenizer, positions
        self.embed_dim, self.depth, self.pool = size.dim, size.depth, pool
        if positions.pitch is None:
            self.steps = positions.reference
        self.prefix_count = cls + registers
        self.prefix = nn.Parameter(torch.empty(self.prefix_count, size.dim))
        rates = [drop_path * i / max(1, size.depth - 1) for i in range(size.depth)]
        self.blocks = nn.ModuleList([Block(size.dim, size.heads, mlp_ratio, layer_scale, rate) for rate in rates])
        self.norm = nn.LayerNorm(size.dim, eps=1e-6)
        self.learned_from = round(learned_after * size.depth) if learned_tokens else size.depth
        if learned_tokens:
            if self.learned_from >= size.depth:
                raise ConfigError(f"backbone.learned_after={learned_after}: leaves none of {size.depth} blocks")
            self.offers = self.offers - {"taps", "attention", "attn_mask"}
            self.learner, self.fuser = TokenLearner(size.dim, learned_tokens), TokenFuser(size.dim, learned_tokens)
        self.apply(init_transformer)
        nn.init.normal_(self.prefix[:cls], std=0.02)
        nn.init.normal_(self.prefix[cls:], std=1e-6)
        if learned_tokens:
            self.fuser.reset()

    def encode(
        self,
        tokens: Tokens,
        visible: Mask | None = None,
        *,
        replaced: Mask | None = None,
        mask_token: Tensor | None = None,
        taps: Sequence[str] = (),
        attn_mask: Tensor | None = None,
    ) -> Features:
        """Encode tokens.

        Args:
            tokens: from `tokenize`.
            visible: `[B, K]`, encode these only; `[B, M, K]` encodes M subsets of every sample, as a batch of
                `B * M` with the subsets of a sample next to each other.
            replaced: `[B, K]`, tokens whose value becomes `mask_token` (they keep position and kind).
            mask_token: `[D]`.
            taps: see `ssl_platform.nn.taps.Taps`.
            attn_mask: `[B or 1, K, K]` bool over the encoded tokens, True where a token may attend to another; prefix
                tokens see and are seen by all.
        """
        hidden = None if replaced is None else replaced.dense()
        if visible is not None:
            hidden = None if hidden is None else flat(visible.gather(hidden), 1)
            tokens = subset(tokens, visible)
        x = self._embed(tokens, hidden, mask_token)
        coords, valid, grid = tokens.coords, tokens.valid, tokens.grid
        p = self.prefix_count
        if p:
            x = torch.cat([self.prefix.expand(x.shape[0], -1, -1).to(x.dtype), x], dim=1)
        mask = _joined(key_mask(valid, p), attn_mask, p)
        kept = Taps(taps, len(self.blocks))
        places = x
        for number, block in enumerate(self.blocks):
            if number == self.learned_from:
                places, mask = x, None
                x = torch.cat([x[:, :p], self.learner(x[:, p:], valid)], dim=1)
            x = block(x, mask, kept.recorder(number) if taps else None)
            if taps:
                kept.output(number, x)
        if self.learned_from < len(self.blocks):
            x = torch.cat([x[:, :p], self.fuser(places[:, p:], x[:, p:])], dim=1)
        x = self.norm(x)
        prefix, x = x[:, :p], zero_invalid(x[:, p:], valid)
        pooled = prefix[:, 0] if self.pool == "cls" else valid_mean(x, valid)
        return Features(pooled, prefix, x, coords, valid, grid, self._pyramid(x, grid), kept.found)

    def _embed(self, tokens: Tokens, hidden: Tensor | None, mask_token: Tensor | None) -> Tensor:
        """`[B, N, D]` token values (the mask token where hidden) plus position and kind, in the parameters' type."""
        assert self.tokenizer is not None
        x = self.tokenizer.embed_values(tokens.values)
        if hidden is not None:
            if mask_token is None:
                raise ValueError("replaced tokens need mask_token=")
            x = torch.where(hidden[..., None], mask_token.to(x.dtype), x)
        x = x + self.positions(tokens.coords, tokens.extent).to(self.norm.weight.dtype)
        return x if tokens.kind is None else x + self.tokenizer.embed_kind(tokens.kind).to(x.dtype)

    def _pyramid(self, x: Tensor, grid: tuple[int, ...] | None) -> list[tuple[Tensor, int]]:
        """The tokens as the one map there is, with the longest side of a patch as its stride."""
        if grid is None or not isinstance(self.tokenizer, PatchTokenizer):
            return []
        return [(x.transpose(1, 2).unflatten(2, grid), max(self.tokenizer.patch))]


def _joined(keys: Tensor | None, pairs: Tensor | None, prefix: int) -> Tensor | None:
    """Key mask and token-pair mask as one attention mask `[B, 1, P + K or 1, P + K]`."""
    if pairs is None:
        return keys
    allowed = F.pad(pairs, (prefix, 0, prefix, 0), value=True)[:, None]
    return allowed if keys is None else allowed & keys


def vit(
    layout: Layout,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    *,
    size_name: str = "small",
    tokenizer: Literal["patch", "channel", "points", "auto"] = "auto",
    conditioning: Literal["name", "wavelength"] = "name",
    min_valid: float = 0.0,
    norm_pix: bool = True,
    groups: int | None = None,
    pitch: float | tuple[float, ...] | None = None,
    temperature: float | None = None,
    dim: int | None = None,
    depth: int | None = None,
    heads: int | None = None,
    **settings: Any,
) -> ViT:
    """A ViT of a named size for one kind of input.

    Args:
        layout: of the input.
        channels: channel names.
        size: cells of a view along each axis, or `(points,)`.
        patch: cells of a token along each axis, or `(points of a group,)`.
        size_name: one of `ssl_platform.nn.sizes.SIZES`.
        tokenizer: `auto` is `points` for sets, `channel` where channel sets are ragged, else `patch`.
        conditioning: of the channel tokenizer.
        min_valid: of the tokenizer.
        norm_pix: of the tokenizer.
        groups: tokens of a point set; None: every point is in two groups on average.
        pitch: physical length of a position step, or None for positions relative to the view.
        temperature: of the positions, see `SinCos`; 10000 is the published table's.
        dim: D, overrides the named size; likewise `depth` and `heads`.
        depth: blocks.
        heads: attention heads.
        **settings: further settings of `ViT`.

    Raises:
        ConfigError: no such size, or settings that do not fit the layout.
    """
    named = size_of(size_name)
    shape = Size(dim or named.dim, depth or named.depth, heads or named.heads)
    kind = tokenizer
    if kind == "auto":
        kind = "points" if layout.points else "channel" if layout.ragged_channels else "patch"
    if (kind == "points") != layout.points:
        raise ConfigError(f"backbone.tokenizer={kind} does not fit axes {layout.axes!r}: use auto")

    cut: Tokenizer
    reference: Sequence[float] | float = STEPS
    if kind == "points":
        group_size = patch[0]
        cut = PointTokenizer(
            layout.rank, len(channels), groups or max(1, 2 * size[0] // group_size), group_size, shape.dim
        )
    else:
        reference = grid_of(size, patch)
        if kind == "patch":
            cut = PatchTokenizer(layout.rank, len(channels), patch, shape.dim, min_valid=min_valid, norm_pix=norm_pix)
        else:
            known = {channel.name: channel.wavelength for channel in layout.channels}
            cut = ChannelTokenizer(
                layout.rank,
                channels,
                patch,
                shape.dim,
                wavelengths=[known.get(name) for name in channels],
                conditioning=conditioning,
                min_valid=min_valid,
                norm_pix=norm_pix,
            )
    positions = SinCos(layout.rank, shape.dim, reference, pitch, temperature)
    return ViT(Normaliser(channels, layout.points), cut, shape, positions, **settings)
