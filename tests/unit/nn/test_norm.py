"""GlobalBatchNorm on one process is torch's batch norm (two processes: tests/ddp)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ssl_platform.nn.norm import GlobalBatchNorm, globalise


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5), (3, 4, 5, 2), (2, 4, 3, 2, 3)])
def test_equals_torch_in_training_and_in_eval(shape: tuple[int, ...]) -> None:
    theirs = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)](4).double()
    ours = GlobalBatchNorm(4).double()
    for norm in (ours, theirs):
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0, -1.0]))
            norm.bias.copy_(torch.arange(4))
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64) * 3 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        for norm, inputs in ((ours, a), (theirs, b)):
            norm(inputs).square().sum().backward()
        torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_channels_last_normalises_every_feature_over_all_tokens() -> None:
    x = torch.randn(3, 5, 4)
    y = GlobalBatchNorm(4, channel_dim=-1)(x)
    torch.testing.assert_close(y, GlobalBatchNorm(4)(x.transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(y.flatten(0, 1).mean(dim=0), torch.zeros(4), atol=1e-6, rtol=0)


def test_an_overflowed_batch_leaves_running_statistics_as_they_were() -> None:
    norm = GlobalBatchNorm(2)
    x = torch.randn(4, 2)
    x[0, 1] = torch.inf
    norm(x)
    assert torch.isfinite(norm.running_mean).all() and torch.isfinite(norm.running_var).all()
    assert norm.running_mean[0] != 0 and norm.running_mean[1] == 0 and norm.running_var[1] == 1


def test_eval_reads_and_never_moves_the_statistics() -> None:
    norm = GlobalBatchNorm(2).eval()
    norm(torch.randn(4, 2) + 5)
    assert torch.equal(norm.running_mean, torch.zeros(2)) and norm.num_batches_tracked == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_keeps_its_type_and_float32_statistics(dtype: torch.dtype) -> None:
    norm = GlobalBatchNorm(4)
    y = norm(torch.randn(64, 4).to(dtype) + 10)
    assert y.dtype is dtype and norm.running_mean.dtype is torch.float32
    assert y.float().std(dim=0).mean().item() == pytest.approx(1, abs=0.05)


def test_one_value_a_channel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.batch_size"):
        GlobalBatchNorm(3)(torch.randn(1, 3))


def test_globalise_keeps_parameters_statistics_and_output() -> None:
    inner = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3, affine=False))
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), inner)
    net(torch.randn(4, 1, 8, 8))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(4, 1, 8, 8)
    expected = net.eval()(x)
    weight = net[1].weight
    assert globalise(net) is net
    assert isinstance(net[1], GlobalBatchNorm) and net[1].weight is weight and not net[1].training
    torch.testing.assert_close(dict(net.state_dict()), before)
    torch.testing.assert_close(net(x), expected)


def test_globalise_leaves_subclasses_that_do_more() -> None:
    class WithActivation(nn.BatchNorm2d):
        pass

    assert isinstance(globalise(WithActivation(3)), WithActivation)
    assert isinstance(globalise(nn.BatchNorm1d(3)), GlobalBatchNorm)
