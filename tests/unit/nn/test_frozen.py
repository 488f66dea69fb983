"""A given model: used, never trained, never saved, and known by a fingerprint."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ssl_platform.nn.frozen import Frozen
from ssl_platform.testing.objectives import small_backbone
from ssl_platform.types import View


class Owner(nn.Module):
    """An objective with a model of its own and a given one."""

    def __init__(self, teacher: Frozen) -> None:
        super().__init__()
        self.head, self.teacher = nn.Linear(2, 2), teacher


def frozen(seed: int = 0) -> Frozen:
    torch.manual_seed(seed)
    return Frozen(small_backbone(), {"codes": torch.randn(3)})


def test_owner_neither_trains_nor_saves_it() -> None:
    owner = Owner(frozen())
    assert [name for name, _ in owner.named_parameters()] == ["head.weight", "head.bias"]
    assert set(owner.state_dict()) == {"head.weight", "head.bias", "teacher.fingerprint"}
    assert not any(p.requires_grad for p in owner.teacher.backbone.parameters())
    owner.train()
    assert not owner.teacher.backbone.training


def test_its_features_are_the_backbones_without_gradient() -> None:
    teacher, view = frozen(), View(torch.randn(2, 1, 16, 16, requires_grad=True))
    out = teacher(view, taps=("block.0",))
    assert not out.pooled.requires_grad and "block.0" in out.taps
    assert torch.equal(out.pooled, teacher.backbone(view).pooled)
    assert teacher.embed_dim == teacher.backbone.embed_dim


def test_it_follows_its_owners_type() -> None:
    owner = Owner(frozen()).double()
    assert next(owner.teacher.backbone.parameters()).dtype == torch.float64
    assert owner.teacher.parts["codes"].dtype == torch.float64
    assert owner.teacher.fingerprint.dtype == torch.uint8


@pytest.mark.parametrize("change", ["weight", "part"])
def test_other_weights_are_refused_by_name(change: str) -> None:
    owner, same = Owner(frozen()), Owner(frozen())
    same.load_state_dict(owner.state_dict())
    other = small_backbone() if change == "weight" else copy.deepcopy(owner.teacher.backbone)
    codes = owner.teacher.parts["codes"] + (change == "part")
    with pytest.raises(RuntimeError, match=r"models\.teacher has other weights than the run began with"):
        Owner(Frozen(other, {"codes": codes})).load_state_dict(owner.state_dict())
