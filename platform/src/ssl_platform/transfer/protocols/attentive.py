"""Attentive probe: one learned query looks at all tokens of an item, then a linear head.

What is told by few places of an item, or lies in no token by itself, the mean of all tokens hides; masked models are
therefore evaluated this way (Chen et al., Context Autoencoder, arXiv:2202.03026, section 4; Bardes et al., V-JEPA,
arXiv:2404.08471, section 3.3). Ours is the former's block: normalised tokens, cross-attention of one query, normalised,
linear. The encoder stays frozen. Of items with more than 1,024 tokens these are evenly thinned to that number.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.bags import LR, fit_bags
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task


class AttentiveHead(nn.Module):
    """Cross-attention of a learned query over tokens, and a linear head.

    Args:
        dim: D of the tokens.
        outputs: numbers predicted for an item.
    """

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.heads = next(heads for heads in (8, 6, 4, 3, 2, 1) if dim % heads == 0)
        self.query = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.norm, self.key, self.value = nn.LayerNorm(dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out, self.head = nn.LayerNorm(dim), nn.Linear(dim, outputs)

    def forward(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """`[B, outputs]` of tokens `[B, N, D]` where `valid [B, N]`."""
        batch, count, dim = tokens.shape
        split = (batch, count, self.heads, dim // self.heads)
        normed = self.norm(tokens)
        keys, values = (layer(normed).view(split).transpose(1, 2) for layer in (self.key, self.value))  # [B, h, N, d]
        query = self.query.view(1, self.heads, 1, -1).expand(batch, -1, -1, -1)
        pooled = F.scaled_dot_product_attention(query, keys, values, attn_mask=valid[:, None, None])
        found: Tensor = self.head(self.out(pooled.reshape(batch, dim)))
        return found


def attentive(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Fit on the tokens of the training items, choose the step on the validation items."""
    predict, step = fit_bags(AttentiveHead, splits.train, splits.val, task, budget or Budget())
    return splits.final(predict, {"step": step, "lr": LR})
