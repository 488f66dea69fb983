"""Low-rank adapters and biases: what is trained, what a network says before, during and after."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbones import build
from ssl_platform.nn.bitfit import train_biases
from ssl_platform.nn.lora import LoRALinear, add_lora, merge_lora, merged_state
from ssl_platform.testing.toy import toy_layout
from ssl_platform.types import View

DIM, DEPTH, RANK = 12, 2, 3


def net(name: str = "vit-pico") -> nn.Module:
    torch.manual_seed(0)
    settings = {"dim": DIM, "depth": DEPTH, "heads": 2} if name == "vit-pico" else {"width": 4}
    return build(name, toy_layout(2), ("c0",), (8, 8), (4, 4), **settings).double().eval()


def said(model: nn.Module) -> torch.Tensor:
    torch.manual_seed(1)
    view = View(torch.randn(2, 1, 8, 8, dtype=torch.float64), channels=("c0",), spacing=torch.ones(2, 2))
    found: torch.Tensor = model(view).pooled
    return found


@pytest.mark.parametrize(("layers", "each"), [("attention", 2), ("all", 4)])
def test_adapters_start_at_nothing_learn_alone_and_are_merged(layers: str, each: int) -> None:
    model, plain = net(), net()
    names = add_lora(model, RANK, 2 * RANK, layers)  # type: ignore[arg-type]
    assert len(names) == each * DEPTH and torch.equal(said(model), said(plain))

    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[2] for name in trained} == {"lora_a", "lora_b"}
    # queries, keys and values one pair each, the output projection one; the MLP widens four times
    attention = 3 * RANK * (DIM + DIM) + RANK * (DIM + DIM)
    mlp = 2 * RANK * (DIM + 4 * DIM) if layers == "all" else 0
    assert sum(p.numel() for p in trained.values()) == DEPTH * (attention + mlp)

    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        said(model).square().sum().backward()
        assert all((p.grad is not None) == (name in trained) for name, p in model.named_parameters())
        optimizer.step()
    adapted = said(model).detach()
    assert (adapted - said(plain)).abs().max() > 1e-3

    state = merged_state(model)
    merge_lora(model)
    assert not any(isinstance(module, LoRALinear) for module in model.modules())
    assert list(state) == list(model.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(said(model), adapted, rtol=1e-12, atol=1e-12)


def test_each_projection_of_a_fused_layer_has_a_difference_of_its_own() -> None:
    base = nn.Linear(4, 6).double()
    layer = LoRALinear(base, rank=2, alpha=6.0, parts=3)
    nn.init.normal_(layer.lora_b)
    low = layer.lora_a.view(3, 2, 4)
    expected = torch.cat([3.0 * layer.lora_b[i] @ low[i] for i in range(3)])
    torch.testing.assert_close(layer.delta, expected)
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), base(x) + x @ expected.T)


def test_layers_that_are_never_called_and_nets_without_attention_are_left_alone() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.MultiheadAttention(4, 2)])

    with pytest.raises(ConfigError, match=r"mode=lora needs attention layers .* use full, bitfit or frozen"):
        add_lora(Other())
    model = net("convnet-tiny")
    with pytest.raises(ConfigError, match="this encoder has none"):
        add_lora(model)
    assert all(p.requires_grad for p in model.parameters()), "a refused network stays as it was"


@pytest.mark.parametrize("name", ["vit-pico", "convnet-tiny"])
def test_only_biases_are_trained(name: str) -> None:
    model = net(name)
    before = copy.deepcopy(model.state_dict())
    named = train_biases(model)
    assert named == [n for n, p in model.named_parameters() if p.requires_grad] and named
    assert all(n.endswith(".bias") for n in named)
    said(model).square().sum().backward()
    torch.optim.SGD([p for p in model.parameters() if p.grad is not None], 0.1).step()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed <= set(named) and changed
    with pytest.raises(ConfigError, match="trains biases and this encoder has none"):
        train_biases(nn.Linear(2, 2, bias=False))
