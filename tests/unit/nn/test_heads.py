"""Heads: layers as the papers write them, unit lengths, gains."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ssl_platform.nn.heads import DINOHead, ProjectionHead, PrototypeHead, WeightNormLinear, mlp
from ssl_platform.nn.norm import GlobalBatchNorm


def kinds(head: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in head.children()]


def test_layers_of_the_papers() -> None:
    simclr = mlp(8, 16, 4, last_norm=True)
    assert kinds(simclr) == ["Linear", "GlobalBatchNorm", "ReLU", "Linear", "GlobalBatchNorm"]
    assert simclr[0].bias is None and simclr[3].bias is None
    byol = mlp(8, 16, 4)
    assert kinds(byol) == ["Linear", "GlobalBatchNorm", "ReLU", "Linear"]
    assert byol[3].bias is not None
    simsiam = mlp(8, 16, 16, 16, last_norm=True, last_affine=False)
    assert simsiam[-1].weight is None and simsiam[1].weight is not None
    assert mlp(8, 16, 16, 4, last_bias=False)[-1].bias is None
    moco = mlp(8, 16, 4, norm=None)
    assert kinds(moco) == ["Linear", "ReLU", "Linear"] and moco[0].bias is not None
    assert kinds(mlp(8, 16, 4, norm="layer", activation="gelu")) == ["Linear", "LayerNorm", "GELU", "Linear"]


def test_mlp_maps_the_last_axis_of_tokens_too() -> None:
    assert mlp(8, 16, 4)(torch.randn(3, 5, 8)).shape == (3, 5, 4)
    with pytest.raises(ValueError, match="at least one width"):
        mlp(8)


def test_projection_has_unit_length() -> None:
    z = ProjectionHead(8, 16, 4)(torch.randn(6, 8))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(6))


def test_dino_logits_are_cosines_and_survive_a_deep_copy_after_forward() -> None:
    head = DINOHead(8, 16, 6, 32)
    x = torch.randn(5, 8)
    logits = head(x)
    assert logits.shape == (5, 32) and logits.abs().max() <= 1 + 1e-6
    assert not any(isinstance(part, GlobalBatchNorm) for part in head.modules())
    with torch.no_grad():
        head.last.weight *= 7  # the gain is fixed, so only directions count
    torch.testing.assert_close(head(x), logits)
    torch.testing.assert_close(copy.deepcopy(head)(x), logits)


def test_weight_norm_equals_torchs_with_its_gradient() -> None:
    ours = WeightNormLinear(6, 4, learn_gain=True).double()
    theirs = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4, bias=False).double())
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(ours.gain[:, None])  # type: ignore[index]
        theirs.parametrizations.weight.original1.copy_(ours.weight)
    x = torch.randn(3, 6, dtype=torch.float64)
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.weight.grad, theirs.parametrizations.weight.original1.grad)
    torch.testing.assert_close(ours.gain.grad, theirs.parametrizations.weight.original0.grad[:, 0])  # type: ignore[union-attr]


def test_prototypes_keep_unit_length_and_take_centroids() -> None:
    head = PrototypeHead(8, 5)
    optimiser = torch.optim.SGD(head.parameters(), lr=1.0)
    for _ in range(3):
        head.normalise()
        torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(5))
        optimiser.zero_grad()
        head(torch.randn(4, 8)).square().sum().backward()
        optimiser.step()
    centroids = torch.randn(5, 8)
    head.assign(centroids)
    torch.testing.assert_close(head.weight.detach(), centroids / centroids.norm(dim=1, keepdim=True))
