"""Registers (card 136): extra tokens without place that no mask, pool or target ever sees.

Equality with timm's class for DINOv2 with registers, weights copied, is in tests/parity/nn/test_vit_mae.py. Public
weights (outliers of DINOv2-L, object discovery) are not at hand: the measure is tested on a synthetic twin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.encoder import build_backbone, load_encoder
from ssl_platform.masking.inverse_block import inverse_block_masks
from ssl_platform.masking.multi_block import multi_block_masks
from ssl_platform.masking.random import random_masks
from ssl_platform.measures import norm_outliers
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.train.initial import load_initial
from ssl_platform.types import Channel, Layout, Mask, Tokens, View

LAYOUT = Layout("C H W", (Channel("a"),))


def vit(registers: int, size: int = 16) -> Backbone:
    torch.manual_seed(0)
    return build("vit-pico", LAYOUT, ("a",), (size, size), (4, 4), depth=2, registers=registers).eval()


def view(side: int = 16, batch: int = 3) -> View:
    x = torch.randn(batch, 1, side, side, generator=torch.Generator().manual_seed(1))
    return View(x, draws=Draws.at(0, torch.arange(batch)))


def test_none_is_the_plain_net_and_some_keep_shape_and_order_of_patches() -> None:
    plain, none, four = vit(0), vit(0), vit(4)
    assert plain.state_dict().keys() == four.state_dict().keys()
    assert torch.equal(plain(view()).tokens, none(view()).tokens)
    a, b = plain(view()), four(view())
    assert b.prefix.shape[1] == 5 and b.tokens.shape == a.tokens.shape
    assert torch.equal(a.coords, b.coords) and a.grid == b.grid
    assert float(four.prefix[1:].detach().abs().max()) < 1e-5  # they start at next to nothing


@pytest.mark.parametrize("policy", ["random", "inverse-block", "multi-block"])
def test_no_mask_drops_or_counts_them(policy: str) -> None:
    def visible(tokens: Tokens) -> Mask:
        if policy == "multi-block":
            return multi_block_masks(tokens, view().random)[0]
        return (random_masks if policy == "random" else inverse_block_masks)(tokens, 0.5, view().random)[0]

    net, plain = vit(4), vit(0)
    tokens = net.tokenize(view())
    mask = visible(tokens)
    assert tokens.count == 16 and torch.equal(mask.index, visible(plain.tokenize(view())).index)
    out = net.encode(tokens, mask)
    assert out.prefix.shape[1] == 5 and out.tokens.shape[1] == mask.index.shape[1]


def test_they_have_no_place_and_survive_another_resolution() -> None:
    """Large views with the same content in every patch: registers see the same, wherever patches lie."""
    net = vit(4)
    state = net.state_dict()
    larger = vit(4, 32)
    larger.load_state_dict(state)
    assert larger(view(32)).prefix.shape == net(view()).prefix.shape
    moved = net.tokenize(view())
    moved.coords = torch.zeros_like(moved.coords)
    with torch.no_grad():
        for block in net.blocks:
            block.attn.qkv.weight[-2 * 128 :] = 0  # nothing is read from others: each token sees itself and its place
            block.attn.qkv.bias[-2 * 128 :] = 0
    there, here = net.encode(net.tokenize(view())), net.encode(moved)
    assert torch.equal(there.prefix, here.prefix) and not torch.allclose(there.tokens, here.tokens)


def test_a_plain_nets_weights_leave_only_the_registers_new(toy_encoder: Callable[..., Path]) -> None:
    folder = toy_encoder()
    plain = load_encoder(folder).model
    spec = dataclasses.replace(plain.spec, settings={**plain.spec.settings, "registers": 4})
    four = build_backbone(spec)
    found = load_initial(four, str(folder))
    assert found.resized == ["prefix"] and not found.missing and not found.unused
    assert torch.equal(four.prefix[0], plain.prefix[0]) and (four.prefix[1:].abs() < 1e-5).all()


def test_high_norm_outliers_are_counted_whatever_the_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(40, 100, 64, generator=generator)
    assert norm_outliers(tokens) == 0
    high = torch.zeros(40, 100, dtype=torch.bool)
    high[:, :2] = True
    with_some = torch.where(high[..., None], 10 * tokens, tokens)
    for scale in (1e-3, 1.0, 1e3):
        assert float(norm_outliers(scale * with_some)) == pytest.approx(0.02)
    assert norm_outliers(with_some, ~high) == 0
