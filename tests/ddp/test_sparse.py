"""A sparse convnet on two processes: statistics are those of the active places of the global batch."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.nn.backbones import build
from ssl_platform.testing.processes import Processes, average_gradients, relative_difference
from ssl_platform.types import Channel, Layout, Mask, View

LAYOUT = Layout("C H W", (Channel("a"),))


def step() -> tuple[float, list[Tensor], list[Tensor]]:
    """Global loss, averaged gradients and running statistics of a masked step with an uneven number of real places."""
    torch.manual_seed(0)
    net = build("convnet-tiny", LAYOUT, ("a",), (16, 16), (8, 8), width=4).double()
    x = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    index = torch.tensor([[0, 1, 2], [1, 2, 3], [0, 2, 3], [3, 0, 0], [1, 0, 0], [2, 0, 0]])
    valid = torch.tensor([[True] * 3] * 3 + [[True, False, False]] * 3)
    visible = Mask(distributed.share(index), 4, distributed.share(valid))
    loss = net(View(distributed.share(x)), visible).pooled.square().mean()
    loss.backward()
    buffers = [b for name, b in net.named_buffers() if "running" in name]
    return float(distributed.all_mean(loss.detach())), average_gradients(net.parameters()), buffers


def test_two_processes_equal_one(pair: Processes) -> None:
    loss, gradients, buffers = step()
    for half_loss, half_gradients, half_buffers in pair.run(step):
        assert abs(half_loss - loss) < 1e-9 * abs(loss)
        assert relative_difference(half_gradients, gradients) < 1e-9
        for mine, theirs in zip(half_buffers, buffers, strict=True):
            torch.testing.assert_close(mine, theirs)
