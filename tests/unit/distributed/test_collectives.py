"""Without a process group every collective is the identity."""

from __future__ import annotations

import pytest
import torch

from ssl_platform import distributed


def test_alone_nothing_happens() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    assert (distributed.rank(), distributed.world(), distributed.offset(4), distributed.active()) == (0, 1, 0, False)
    assert distributed.gather(x) is x and distributed.all_sum(x) is x
    assert torch.equal(distributed.share(x), x)
    for alike in (distributed.all_mean(x), distributed.all_max(x), distributed.broadcast(x)):
        assert torch.equal(alike, x)
    assert not distributed.all_max(x).requires_grad and not distributed.broadcast(x).requires_grad


def test_global_mean_divides_by_the_count_and_survives_none() -> None:
    total = torch.tensor(6.0, requires_grad=True)
    assert distributed.global_mean(total, torch.tensor(3)).item() == 2
    nothing = distributed.global_mean(total * 0, torch.tensor(0))
    nothing.backward()
    assert nothing == 0 and total.grad == 0


def test_a_scalar_cannot_be_gathered() -> None:
    with pytest.raises(ValueError, match="use all_sum"):
        distributed.gather(torch.tensor(1.0))
