"""The attentive probe: attention over the tokens that are there, and what the mean of all tokens hides."""

from __future__ import annotations

import torch
from torch import nn

from ssl_platform.transfer.metrics import accuracy
from ssl_platform.transfer.protocols.answer import Budget
from ssl_platform.transfer.protocols.attentive import AttentiveHead, attentive
from ssl_platform.transfer.protocols.linear import linear
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

TASK = Task("classification", ("left", "right"))


def items(count: int, seed: int) -> Labelled:
    """Tokens of two kinds in equal numbers; in one class a kind has the sign that the other has in the other."""
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % 2
    kind = torch.tensor([1.0, -1.0]).repeat(6)
    sign = (2.0 * target[:, None] - 1) * kind
    tokens = 0.3 * torch.randn(count, 12, 4, generator=draw)
    tokens[..., 0] += kind
    tokens[..., 1] += sign
    names = [str(i) for i in range(count)]
    return Labelled(tokens, target, names, names)


def test_what_the_mean_hides_is_found() -> None:
    parts = [items(64, 0), items(32, 1), items(64, 2)]
    found = attentive(Splits(*parts), TASK, Budget(steps=200))
    assert accuracy(found.target, found.score) > 0.95
    means = linear(Splits(*(Labelled(p.features.mean(1), p.target, p.groups, p.ids) for p in parts)), TASK)
    assert accuracy(means.target, means.score) < 0.75


def test_attention_is_torch_s_over_the_tokens_there_are() -> None:
    torch.manual_seed(0)
    head = AttentiveHead(12, 3).eval()
    tokens, valid = torch.randn(2, 7, 12), torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    oracle = nn.MultiheadAttention(12, head.heads, batch_first=True).eval()
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([torch.eye(12), head.key.weight, head.value.weight]))
        oracle.in_proj_bias.copy_(torch.cat([torch.zeros(12), head.key.bias, head.value.bias]))
        oracle.out_proj.weight.copy_(torch.eye(12))
        oracle.out_proj.bias.zero_()
        normed = head.norm(tokens)
        query = head.query.expand(2, 1, -1)
        pooled = oracle(query, normed, normed, key_padding_mask=~valid, need_weights=False)[0][:, 0]
        assert torch.allclose(head(tokens, valid), head.head(head.out(pooled)), atol=1e-5)
        other = tokens.clone()
        other[1, 4:] = 1e3
        assert torch.allclose(head(tokens, valid), head(other, valid))
