"""Parameter groups, schedules, clipping."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ssl_platform.errors import ConfigError
from ssl_platform.objectives.base import Player
from ssl_platform.testing.objectives import small_backbone
from ssl_platform.train import optim
from ssl_platform.train.optim import OptimPlan


def test_decay_spares_biases_norms_tokens_and_positions() -> None:
    net = small_backbone(registers=2)
    player = Player("main", list(net.parameters()), lr=0.5, weight_decay=2.0)
    groups = optim.groups([player], net.named_parameters())
    names = {id(p): name for name, p in net.named_parameters()}
    by_decay = {group["decay_scale"]: {names[id(p)] for p in group["params"]} for group in groups}
    assert set(by_decay) == {2.0, 0.0} and all(group["lr_scale"] == 0.5 for group in groups)
    assert "prefix" in by_decay[0.0]
    assert all(name in by_decay[0.0] for name in names.values() if name.endswith("bias") or "norm" in name)
    assert all(net.get_parameter(name).ndim > 1 for name in by_decay[2.0])
    optimizer = optim.build(OptimPlan(), groups)
    lr = optim.schedule(optimizer, OptimPlan(lr=1e-2, weight_decay=0.3), 0, 10)
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0.6, 0.0}
    assert all(g["lr"] == pytest.approx(0.5 * lr) for g in optimizer.param_groups)


def test_a_parameter_belongs_to_exactly_one_player() -> None:
    net = nn.Linear(2, 2)
    twice = [Player("a", list(net.parameters())), Player("b", [net.bias])]
    with pytest.raises(ConfigError, match="'bias' belongs to the players 'a' and 'b'"):
        optim.groups(twice, net.named_parameters())
    with pytest.raises(ConfigError, match="'bias' belongs to no player"):
        optim.groups([Player("a", [net.weight])], net.named_parameters())


def test_schedule_closed_form() -> None:
    plan = OptimPlan(lr=2.0, warmup=4, min_lr=0.1, weight_decay=0.4, weight_decay_start=0.0)
    assert [plan.lr_at(s, 12) for s in range(4)] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    for step in range(4, 12):
        progress = (step - 4) / 8
        assert plan.lr_at(step, 12) == pytest.approx(0.2 + 1.8 * (1 + math.cos(math.pi * progress)) / 2)
    assert plan.lr_at(12, 12) == pytest.approx(0.2)
    assert plan.weight_decay_at(6, 12) == pytest.approx(0.2)
    assert OptimPlan(lr=2.0, schedule="constant").lr_at(11, 12) == 2.0


def test_clip_scales_each_player_and_returns_the_norm_before() -> None:
    a, b = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
    a.grad, b.grad = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([0.0, 12.0])
    norm = optim.clip([Player("a", [a]), Player("b", [b], clip=6.0)], 1.0)
    assert float(norm) == pytest.approx(13.0)
    assert float(a.grad.norm()) == pytest.approx(1.0, rel=1e-5) and float(b.grad.norm()) == pytest.approx(6.0, rel=1e-5)
    b.grad = torch.tensor([float("nan"), 1.0])
    assert not optim.clip([Player("b", [b])], None).isfinite()


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_found_inf_leaves_everything_alone(name: str) -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 3)
    plan = OptimPlan(name=name, lr=0.1, weight_decay=0.1)
    optimizer = optim.build(plan, optim.groups([Player("m", list(net.parameters()))], net.named_parameters()))
    optim.schedule(optimizer, plan, 0, 10)

    def step(bad: bool) -> None:
        net(torch.randn(2, 3)).square().mean().backward()
        if bad:
            net.weight.grad[0, 0] = float("nan")
        optimizer.grad_scale, optimizer.found_inf = None, torch.tensor(float(bad))
        optimizer.step()
        optimizer.zero_grad()

    step(False)
    before = [p.detach().clone() for p in net.parameters()]
    state = [v.clone() for s in optimizer.state.values() for v in s.values() if torch.is_tensor(v)]
    step(True)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    now = [v for s in optimizer.state.values() for v in s.values() if torch.is_tensor(v)]
    assert all(torch.equal(a, b) for a, b in zip(state, now, strict=True))
    step(False)
    assert not torch.equal(before[0], net.weight)
