"""Transformer blocks. Parameter names are timm's, so weights move between the two by name.

Shapes: B batch, N tokens, D width, H heads, E width of a head.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.errors import ConfigError

LIKENESS = 1.5  # of queries and keys over their Xavier matrices, so that likeness outweighs chance at the start
Record = Callable[[str, Tensor], None]
"""Receives an intermediate output and its name: q, k, v, attention, attn or ffn."""


class Mlp(nn.Module):
    """Two linear layers with a GELU between.

    Args:
        dim: width of input and output.
        hidden: width between.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., D]` to `[..., D]`."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Attention(nn.Module):
    """Multi-head self-attention.

    Args:
        dim: D.
        heads: H, which divides D.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = check_heads(dim, heads)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    @torch.no_grad()
    def align(self) -> None:
        """Start with keys like queries."""
        query, key, _ = self.qkv.weight.chunk(3)
        key.copy_(query.mul_(LIKENESS))

    def forward(self, x_BND: Tensor, mask: Tensor | None = None, record: Record | None = None) -> Tensor:
        """Attend.

        Args:
            x_BND: tokens.
            mask: bool (True: may attend) or additive float, broadcast to `[B, H, N, N]`; None: no limit.
            record: receives `q`, `k`, `v` (`[B, N, D]`, before the heads are split) and `attention` (`[B, H, N, N]`).
        """
        b, n, d = x_BND.shape
        qkv: Tensor = self.qkv(x_BND)
        q_BHNE, k_BHNE, v_BHNE = qkv.view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if record is not None:
            for name, part in zip("qkv", qkv.chunk(3, dim=-1), strict=True):
                record(name, part)
            record("attention", attention_map(q_BHNE, k_BHNE, mask))
        out = F.scaled_dot_product_attention(q_BHNE, k_BHNE, v_BHNE, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(b, n, d))
        return projected


class CrossAttention(nn.Module):
    """Multi-head attention of queries to a memory.

    Args:
        dim: D of both.
        heads: H, which divides D.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = check_heads(dim, heads)
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    @torch.no_grad()
    def align(self) -> None:
        """Start with keys like queries."""
        self.kv.weight.chunk(2)[0].copy_(self.q.weight.mul_(LIKENESS))

    def forward(self, x_BND: Tensor, memory_BLD: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend to `memory_BLD`; `mask` as in `Attention`, broadcast to `[B, H, N, L]`."""
        b, n, d = x_BND.shape
        split = (self.heads, d // self.heads)
        q_BHNE = self.q(x_BND).view(b, n, *split).transpose(1, 2)
        k_BHLE, v_BHLE = self.kv(memory_BLD).view(b, -1, 2, *split).permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q_BHNE, k_BHLE, v_BHLE, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(b, n, d))
        return projected


class LayerScale(nn.Module):
    """A learned factor a feature (Touvron et al., 2021).

    Args:
        dim: D.
        start: first value.
    """

    def __init__(self, dim: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), start))

    def forward(self, x: Tensor) -> Tensor:
        """Scale `[..., D]`."""
        return x * self.gamma


class DropPath(nn.Module):
    """Drops a residual branch for whole samples (Huang et al., 2016).

    Args:
        rate: probability.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero or scaled by `1 / (1 - rate)` sample by sample while training."""
        if not self.training or self.rate == 0.0:
            return x
        keep = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1.0 - self.rate)
        return x * keep / (1.0 - self.rate)


class Block(nn.Module):
    """Pre-norm block: self-attention, then MLP, each with a residual.

    Args:
        dim: D.
        heads: H.
        mlp_ratio: width of the MLP over D.
        layer_scale: start of the layer scale, or None for none.
        drop_path: probability of dropping a branch.
    """

    def __init__(
        self, dim: int, heads: int, mlp_ratio: float = 4.0, layer_scale: float | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.ls1 = _scale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.ls2 = _scale(dim, layer_scale)
        self.drop_path: nn.Module = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None, record: Record | None = None) -> Tensor:
        """`[B, N, D]` to `[B, N, D]`; `mask` as in `Attention`; `record` also receives `attn` and `ffn`."""
        attended = self.attn(self.norm1(x), mask, record)
        x = x + self.drop_path(self.ls1(attended))
        made = self.mlp(self.norm2(x))
        if record is not None:
            record("attn", attended)
            record("ffn", made)
        out: Tensor = x + self.drop_path(self.ls2(made))
        return out


class CrossBlock(nn.Module):
    """Pre-norm block of queries with a memory: cross-attention, MLP, then self-attention (CropMAE's order).

    Args:
        dim: D.
        heads: H.
        mlp_ratio: width of the MLP over D.
        self_attention: without it queries do not see one another (CAPI).
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0, self_attention: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.cross = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.norm3 = nn.LayerNorm(dim, eps=1e-6) if self_attention else None
        self.attn = Attention(dim, heads) if self_attention else None

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """`[B, N, D]` queries and `[B, L, D]` memory (already normalised) to `[B, N, D]`."""
        x = x + self.cross(self.norm1(x), memory, memory_mask)
        x = x + self.mlp(self.norm2(x))
        if self.attn is not None and self.norm3 is not None:
            x = x + self.attn(self.norm3(x), mask)
        return x


def attention_map(q_BHNE: Tensor, k_BHNE: Tensor, mask: Tensor | None) -> Tensor:
    """`[B, H, N, N]` attention weights, which the fused kernel does not return."""
    score = q_BHNE @ k_BHNE.transpose(-2, -1) * q_BHNE.shape[-1] ** -0.5
    if mask is not None:
        score = score.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else score + mask
    return score.softmax(dim=-1)


def key_mask(valid: Tensor | None, prefix: int = 0) -> Tensor | None:
    """`[B, 1, 1, P + N]` bool attention mask that hides invalid tokens as keys; None when all are valid.

    A sample without any valid token would leave its queries nothing to attend to (and give NaN): where no prefix token
    stands in, such a sample attends to everything, and pooling leaves all of it out.

    Args:
        valid: `[B, N]` bool.
        prefix: P tokens in front that are always valid.
    """
    if valid is None:
        return None
    keep = F.pad(valid, (prefix, 0), value=True) if prefix else valid | ~valid.any(dim=1, keepdim=True)
    return keep[:, None, None, :]


def check_heads(dim: int, heads: int) -> int:
    """The number of heads, if it divides the width.

    Raises:
        ConfigError: it does not.
    """
    if heads < 1 or dim % heads:
        raise ConfigError(f"{heads} attention heads do not divide a width of {dim}")
    return heads


def init_transformer(module: nn.Module) -> None:
    """Xavier-uniform matrices, zero biases, unit layer norms (MAE's start), and keys that start as the queries.

    With equal key and query matrices a token first attends to tokens like itself, and, as places are part of a token,
    to those nearby (mimetic initialisation: Trockman and Kolter, 2023, arXiv:2305.09828). From unrelated matrices
    attention starts uniform, and on a few thousand samples a decoder never finds its neighbours. Use with
    `Module.apply`, which comes to the matrices before the layers that hold them.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, Attention | CrossAttention):
        module.align()


def _scale(dim: int, start: float | None) -> nn.Module:
    return nn.Identity() if start is None else LayerScale(dim, start)
