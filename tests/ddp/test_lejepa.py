"""Card B15: characteristic functions averaged over processes are exact, those of each process' share are not."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.losses import sigreg
from ssl_platform.testing.processes import Processes, average_gradients, relative_difference


def step(reduced: bool) -> tuple[float, list[Tensor]]:
    """Global statistic of mapped rows and the gradient of the map."""
    torch.manual_seed(0)
    layer, rows = nn.Linear(4, 3).double(), torch.randn(8, 4, dtype=torch.float64)
    directions = torch.nn.functional.normalize(torch.randn(6, 3, dtype=torch.float64), dim=1)
    z = layer(distributed.share(rows))
    if reduced:
        loss = sigreg(z, directions)
    else:
        with mock.patch.object(distributed, "all_mean", lambda x: x):
            loss = sigreg(z, directions)
    loss.backward()
    return float(distributed.all_mean(loss.detach())), average_gradients(layer.parameters())


def test_two_processes_are_one_and_not_without_the_reduction(pair: Processes) -> None:
    loss, gradients = step(reduced=True)
    for half_loss, half_gradients in pair.run(step, True):
        assert half_loss == pytest.approx(loss, rel=1e-10)
        assert relative_difference(half_gradients, gradients) < 1e-10
    for half_loss, half_gradients in pair.run(step, False):
        assert abs(half_loss - loss) > 1e-2 * loss
        assert relative_difference(half_gradients, gradients) > 1e-2
