"""Calibration error against torchmetrics and by hand."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from ssl_platform.measures import calibration_error, overconfidence


@pytest.mark.parametrize("bins", [5, 15])
def test_it_is_that_of_torchmetrics(bins: int) -> None:
    generator = torch.Generator().manual_seed(0)
    probs = (2 * torch.randn(500, 4, generator=generator)).softmax(1)
    target = torch.randint(0, 4, (500,), generator=generator)
    confidence, said = probs.max(1)
    expected = multiclass_calibration_error(probs, target, num_classes=4, n_bins=bins)
    assert calibration_error(confidence, said == target, bins).item() == pytest.approx(expected.item(), abs=1e-6)
    one = probs[:, 0]
    expected = binary_calibration_error(one, (target == 0).long(), n_bins=bins)
    assert calibration_error(one, target == 0, bins).item() == pytest.approx(expected.item(), abs=1e-6)


def test_by_hand() -> None:
    confidence, correct = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.6, 0.6]), torch.tensor([1, 1, 1, 0, 0, 1])
    assert calibration_error(confidence, correct, 10).item() == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert overconfidence(confidence, correct).item() == pytest.approx(4.8 / 6 - 4 / 6)
    assert calibration_error(torch.tensor([0.0, 1.0]), torch.tensor([0, 1])) == 0
    assert calibration_error(torch.tensor([1.0, 1.0]), torch.tensor([0, 0])) == 1
    with pytest.raises(ValueError, match="at least one"):
        calibration_error(torch.zeros(0), torch.zeros(0))
