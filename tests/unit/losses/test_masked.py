"""Masked means, MAE's pixel loss (card B01), I-JEPA's token loss (card 065)."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.losses import masked_mean, normalised_patches, patch_mse, smooth_l1_tokens


def test_mean_is_over_valid_elements() -> None:
    loss = torch.tensor([[1.0, 2.0, torch.inf], [4.0, torch.nan, 6.0]])
    valid = torch.tensor([[True, True, False], [True, False, True]])
    assert masked_mean(loss, valid).item() == pytest.approx(13 / 4)
    assert masked_mean(loss[:, :1]).item() == pytest.approx(2.5)


def test_weights_count_as_numbers() -> None:
    assert masked_mean(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0])).item() == pytest.approx(7 / 4)


def test_nothing_valid_is_zero_with_zero_gradient() -> None:
    loss = torch.randn(3, 4, requires_grad=True)
    mean = masked_mean(loss, torch.zeros(3, 4, dtype=torch.bool))
    mean.backward()
    assert mean == 0
    assert torch.equal(loss.grad, torch.zeros(3, 4))  # type: ignore[arg-type]


def test_zero_prediction_of_noise_shows_the_unbiased_variance() -> None:
    """(n - 1) / n: 767/768 for a 16x16x3 patch; the biased variance would give 1."""
    target = torch.randn(64, 768) * 5 + 3
    loss = patch_mse(torch.zeros(64, 768), target).mean()
    assert loss.item() == pytest.approx(767 / 768, abs=1e-4)


def test_constant_patch_gives_zero_and_a_finite_gradient() -> None:
    prediction = torch.zeros(2, 3, 8, requires_grad=True)
    loss = patch_mse(prediction, torch.full((2, 3, 8), 7.0))
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros(2, 3))
    assert prediction.grad is not None and torch.isfinite(prediction.grad).all()


def test_raw_pixels_without_normalisation() -> None:
    prediction, target = torch.randn(2, 2, 3, 8)
    torch.testing.assert_close(patch_mse(prediction, target, normalise=False), (prediction - target).square().mean(-1))


def test_all_valid_equals_no_validity() -> None:
    prediction, target = torch.randn(2, 2, 3, 8, dtype=torch.float64)
    valid = torch.ones(2, 3, 8, dtype=torch.bool)
    torch.testing.assert_close(patch_mse(prediction, target, valid), patch_mse(prediction, target))


def test_invalid_values_change_nothing() -> None:
    prediction, target = torch.randn(2, 2, 3, 8)
    valid = torch.rand(2, 3, 8) > 0.4
    changed = torch.where(valid, target, torch.full_like(target, torch.nan))
    torch.testing.assert_close(patch_mse(prediction, changed, valid), patch_mse(prediction, target, valid))
    assert torch.equal(normalised_patches(changed, valid)[~valid], torch.zeros(int((~valid).sum())))


def test_partly_valid_patch_equals_the_patch_of_its_valid_values() -> None:
    prediction, target = torch.randn(2, 1, 8, dtype=torch.float64)
    valid = torch.tensor([[True] * 5 + [False] * 3])
    torch.testing.assert_close(patch_mse(prediction, target, valid), patch_mse(prediction[:, :5], target[:, :5]))


def test_a_patch_without_valid_values_is_zero() -> None:
    loss = patch_mse(torch.randn(1, 8), torch.randn(1, 8), torch.zeros(1, 8, dtype=torch.bool))
    assert torch.equal(loss, torch.zeros(1))


def test_target_gets_no_gradient() -> None:
    for loss in (patch_mse, smooth_l1_tokens):
        prediction, target = torch.randn(2, 3, 8, requires_grad=True), torch.randn(2, 3, 8, requires_grad=True)
        loss(prediction, target).sum().backward()
        assert prediction.grad is not None and target.grad is None
    assert torch.autograd.gradcheck(
        lambda p: patch_mse(p, target.detach().double()), (torch.randn(2, 3, 8).double().requires_grad_(),)
    )


def test_two_buckets_give_the_loss_of_their_union() -> None:
    loss, valid = torch.randn(6, 5, dtype=torch.float64), torch.rand(6, 5) > 0.5
    parts = [(masked_mean(loss[rows], valid[rows]), valid[rows].sum()) for rows in (slice(0, 2), slice(2, 6))]
    union = sum(mean * count for mean, count in parts) / sum(count for _, count in parts)
    torch.testing.assert_close(union, masked_mean(loss, valid))


def test_smooth_l1_is_the_square_inside_and_the_absolute_value_outside() -> None:
    target = torch.zeros(1, 2, 4)
    prediction = torch.tensor([[[0.5] * 4, [3.0] * 4]])
    torch.testing.assert_close(smooth_l1_tokens(prediction, target), torch.tensor([[0.125, 2.5]]))
    torch.testing.assert_close(smooth_l1_tokens(prediction, target, beta=0.0), torch.tensor([[0.5, 3.0]]))
    torch.testing.assert_close(smooth_l1_tokens(target, target), torch.zeros(1, 2))
