"""Accumulation for losses in which samples meet: the gradient is that of the whole batch."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.train.chunked import ChunkedBackbone
from ssl_platform.types import Views


@pytest.mark.parametrize("name", ["simclr", "vicreg", "swav"])
@pytest.mark.parametrize("chunks", [2, 3, 8])
def test_gradient_is_that_of_the_whole_batch(name: str, chunks: int) -> None:
    method, backbone = small(name), small_backbone()
    method.build(backbone, {})
    method.double(), backbone.double()
    views = Views([v.replace(x=v.x.double()) for v in small_views(method, toy_batch(8))])
    losses, gradients = [], []
    for net in (backbone, ChunkedBackbone(backbone, chunks)):
        backbone.zero_grad(), method.zero_grad()
        loss = total_of(method(net, views)).total
        loss.backward()
        losses.append(loss.detach())
        gradients.append(
            torch.cat([p.grad.flatten() for p in (*backbone.parameters(), *method.parameters()) if p.grad is not None])
        )
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=1e-12)
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-12


def test_activations_of_one_chunk_only_are_kept() -> None:
    """The graph holds the chunks' inputs, not what the blocks computed."""
    backbone = small_backbone()
    method = small("simclr")
    method.build(backbone, {})
    view = small_views(method, toy_batch(8))[0]

    def saved(net: object) -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            net(view).pooled.sum()  # type: ignore[operator]
        return sum(sizes)

    assert saved(ChunkedBackbone(backbone, 4)) < saved(backbone) / 5


def test_everything_else_is_the_backbones() -> None:
    backbone = small_backbone()
    net = ChunkedBackbone(backbone, 2)
    assert net.embed_dim == backbone.embed_dim and net.offers == backbone.offers and net.spec is backbone.spec
    assert not list(net.parameters()), "it owns nothing"
