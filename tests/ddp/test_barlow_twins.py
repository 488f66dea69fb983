"""Card B05: exact on several processes whose samples differ, which statistics of each process' share are not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses import barlow_twins
from ssl_platform.nn.heads import mlp
from ssl_platform.testing.processes import Processes, average_gradients, relative_difference

N, D = 8, 5


def unlike_rows(seed: int) -> Tensor:
    """This rank's share of rows whose second half has another mean and another spread."""
    rows = torch.randn(N, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows[N // 2 :] = 3 * rows[N // 2 :] + torch.arange(D) + 2
    return distributed.share(rows)


def published(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """As published libraries do: each rank standardises its own share, and only the correlations are summed."""
    a, b = (F.batch_norm(z, None, None, training=True) for z in (a, b))
    c = distributed.all_sum(a.T @ b) / (len(a) * distributed.world())
    off = c - torch.diag(c.diagonal())
    return (c.diagonal() - 1).square().sum() + weight * off.square().sum()


def step(width: int, exact: bool) -> tuple[float, list[Tensor]]:
    """Global loss and the gradient of every parameter, of an encoder and a projector with batch norms."""
    torch.manual_seed(0)
    encoder, projector = torch.nn.Linear(D, D).double(), mlp(D, 7, width, last_bias=False).double()
    a, b = (projector(encoder(unlike_rows(seed))) for seed in (0, 1))
    loss = barlow_twins(a, b, 0.1) if exact else published(a, b, 0.1)
    loss.backward()
    parameters = [*encoder.parameters(), *projector.parameters()]
    return float(distributed.all_mean(loss.detach())), average_gradients(parameters)


@pytest.mark.parametrize("width", [4, 20])  # either way of summing squared correlations
def test_two_processes_are_one_and_per_process_statistics_are_not(pair: Processes, width: int) -> None:
    loss, gradients = step(width, exact=True)
    for half_loss, half_gradients in pair.run(step, width, True):
        assert half_loss == pytest.approx(loss, rel=1e-10)
        assert relative_difference(half_gradients, gradients) < 1e-10
    same, _ = step(width, exact=False)
    assert same == pytest.approx(loss, rel=1e-10)  # on one process the published loss is this one
    for half_loss, half_gradients in pair.run(step, width, False):
        assert abs(half_loss - loss) > 0.1 * loss
        assert relative_difference(half_gradients, gradients) > 0.1
