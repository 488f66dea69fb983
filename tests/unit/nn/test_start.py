"""How transformers start: attention looks near, decoders predict the mean, and masked prediction leaves its plateau."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.nn.backbones import build
from ssl_platform.nn.block import Attention, CrossAttention, init_transformer
from ssl_platform.nn.decoder import CrossDecoder, MaskedDecoder
from ssl_platform.nn.positions import places
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.mae import MAE
from ssl_platform.testing.toy import toy_layout
from ssl_platform.types import View


def test_keys_start_as_queries():
    attention, cross = Attention(32, 4).apply(init_transformer), CrossAttention(32, 4).apply(init_transformer)
    query, key, value = attention.qkv.weight.chunk(3)
    torch.testing.assert_close(query, key)
    torch.testing.assert_close(cross.q.weight, cross.kv.weight.chunk(2)[0])
    assert not torch.allclose(key, value)


def test_attention_starts_near():
    """Among twelve tokens that hold nothing but their place, weights fall with distance in every head's mean."""
    torch.manual_seed(0)
    coords = ((torch.arange(12) + 0.5) / 12)[None, :, None]
    maps = []
    record = lambda name, value: maps.append(value) if name == "attention" else None  # noqa: E731
    for _ in range(8):
        Attention(64, 4).apply(init_transformer)(places(coords, 64, 12), record=record)
    weight = torch.cat(maps).mean((0, 1))
    distance = (torch.arange(12)[:, None] - torch.arange(12)).abs()
    by_distance = [float(weight.detach()[distance == d].mean()) for d in (0, 2, 4, 8)]
    assert by_distance == sorted(by_distance, reverse=True) and by_distance[0] > 2 * by_distance[2]


def test_decoders_start_from_the_mean():
    for decoder in (MaskedDecoder(16, 7, 24, 1, 4), CrossDecoder(16, 7, 24, 1, 4)):
        out = decoder.out(torch.randn(5, 24)).detach()
        assert float(out.abs().max()) < 0.05


@pytest.mark.slow
def test_masked_prediction_of_waves_leaves_its_plateau():
    """Plane waves in any direction: nothing helps but the neighbours. The control attends from unrelated matrices."""
    losses = {aligned: _train_on_waves(aligned) for aligned in (True, False)}
    assert losses[True] < losses[False] - 0.1 and losses[True] < 0.85


def _train_on_waves(aligned: bool, steps: int = 120, batch: int = 16) -> float:
    torch.manual_seed(0)
    size = 32
    net = build("vit-pico", toy_layout(2), ("c0",), (size, size), (4, 4), depth=2, dim=64, heads=4)
    method = MAE(MAE.Config(decoder_dim=64, decoder_depth=2, decoder_heads=4))
    method.build(net, {})
    if not aligned:
        for module in [*net.modules(), *method.modules()]:
            if isinstance(module, Attention):
                torch.nn.init.xavier_uniform_(module.qkv.weight)
    parameters = [*net.parameters(), *method.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.95))
    grid = torch.stack(torch.meshgrid(*[torch.arange(size, dtype=torch.float32)] * 2, indexing="ij"))
    losses = []
    for step in range(steps):
        angle, phase = 2 * math.pi * torch.rand(2, batch, 1, 1)
        wave = (angle.cos() * grid[0] + angle.sin() * grid[1]) * 2 * math.pi / (12 + 8 * torch.rand(batch, 1, 1))
        draws = Draws.at(0, torch.arange(step * batch, (step + 1) * batch))
        loss = total_of(method(net, [View(x=1.4 * torch.sin(wave + phase)[:, None], channels=("c0",), draws=draws)]))
        optimiser.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 3.0)
        optimiser.step()
        losses.append(float(loss.total.detach()))
    return sum(losses[-20:]) / 20
