"""Two processes with half the batch each give the loss and gradient of one with all of it, for every objective."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.testing.objectives import gradient_of, names, small
from ssl_platform.testing.processes import run_pair

NAMES = names()


@pytest.fixture(scope="module")
def halves() -> list[dict[str, tuple[float, torch.Tensor]]]:
    return run_pair(gradient_of, NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(name: str, halves: list[dict[str, tuple[float, torch.Tensor]]]) -> None:
    loss, gradient = gradient_of([name])[name]
    mean_loss = sum(half[name][0] for half in halves) / 2
    assert mean_loss == pytest.approx(loss, rel=1e-9)
    mean_gradient = torch.stack([half[name][1] for half in halves]).mean(0)
    assert float((mean_gradient - gradient).norm() / gradient.norm()) < 1e-5


def test_the_check_can_fail() -> None:
    """Another batch gives another gradient, so equality above means something."""
    assert small("simclr") is not small("simclr")
    a, b = gradient_of(["simclr"])["simclr"][1], gradient_of(["simclr"], start=16)["simclr"][1]
    assert float((a - b).norm() / a.norm()) > 1e-2
