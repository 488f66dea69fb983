"""The moving-average teacher: card B02."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ssl_platform.nn.ema import Ema
from ssl_platform.nn.heads import mlp


def net() -> nn.Sequential:
    return nn.Sequential(mlp(4, 8, 4), nn.Dropout(0.5))


def moved(student: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter))
    return student


def test_momentum_one_keeps_the_teacher_bit_for_bit_and_zero_copies() -> None:
    student = net()
    teacher = Ema(student)
    before = copy.deepcopy(teacher.state_dict())
    moved(student)
    teacher.update(student, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), teacher.state_dict().values(), strict=True))
    teacher.update(student, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), teacher.module.parameters(), strict=True))


def test_update_is_the_weighted_mean_and_buffers_are_copied() -> None:
    student = net().double()
    teacher = Ema(student)
    old = [p.clone() for p in teacher.module.parameters()]
    moved(student)
    student(torch.randn(8, 4, dtype=torch.float64))
    teacher.update(student, 0.9)
    for was, now, new in zip(old, teacher.module.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * new)
    for mine, theirs in zip(teacher.module.buffers(), student.buffers(), strict=True):
        assert torch.equal(mine, theirs) and mine is not theirs


def test_matches_by_name_whatever_the_order() -> None:
    student = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    teacher = Ema(nn.ModuleDict({"b": student["b"], "a": student["a"]}))
    moved(student)
    teacher.update(student, 0.0)
    assert torch.equal(teacher.module["a"].weight, student["a"].weight)  # type: ignore[index]
    with pytest.raises(ValueError, match=r"'c\.bias'"):
        teacher.update(nn.ModuleDict({**student, "c": nn.Linear(2, 2)}), 0.5)


def test_no_gradient_reaches_the_teacher() -> None:
    teacher = Ema(net())
    x = torch.randn(8, 4, requires_grad=True)
    assert not teacher(x).requires_grad
    assert not any(p.requires_grad for p in teacher.parameters())


def test_dropout_is_off_and_batch_statistics_follow_the_mode() -> None:
    holder = nn.ModuleDict({"teacher": Ema(net())}).train()
    teacher = holder["teacher"]
    x = torch.randn(8, 4)
    assert torch.equal(teacher(x), teacher(x))
    tracked = teacher.module[0][1].num_batches_tracked  # type: ignore[index]
    assert tracked == 2
    holder.eval()
    teacher(x)
    assert tracked == 2
