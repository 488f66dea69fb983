"""The losses of SCAN at their limits."""

from __future__ import annotations

import math

import pytest
import torch

from ssl_platform.losses.scan import confident_cross_entropy, scan_terms


def test_uniform_predictions_and_sure_ones() -> None:
    uniform = scan_terms(torch.zeros(12, 4), torch.zeros(12, 4))
    assert float(uniform.consistency) == pytest.approx(math.log(4)) == float(uniform.entropy)
    sure = 60 * torch.eye(4)[torch.arange(12) % 4]
    agreed = scan_terms(sure, sure)
    assert float(agreed.consistency) == pytest.approx(0, abs=1e-6) and float(agreed.entropy) == pytest.approx(
        math.log(4)
    )
    assert float(scan_terms(sure, sure.roll(1, 0)).consistency) > 10


def test_only_sure_items_label_their_views_and_clusters_weigh_alike() -> None:
    weak = torch.tensor([[9.0, 0], [9, 0], [9, 0], [0, 9], [0.1, 0]])
    strong = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    each = -strong.log_softmax(1)[torch.arange(4), torch.tensor([0, 0, 0, 1])]
    expected = (each[:3].mean() + each[3]) / 2
    assert torch.allclose(confident_cross_entropy(weak, strong, 0.9), expected)
    with pytest.raises(ValueError, match=r"no item is surer than 0\.99 of its cluster \(the surest 0\.525\)"):
        confident_cross_entropy(weak[4:], strong[4:], 0.99)
