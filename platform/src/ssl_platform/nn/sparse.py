"""Dense kernels that behave like sparse ones: hidden places stay exactly zero and count in no statistic.

The mask is an argument of every call, never state, so interleaved passes with different masks cannot mix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform import distributed
from ssl_platform.nn.norm import GlobalBatchNorm

CONV: tuple[type[nn.Conv1d], type[nn.Conv2d], type[nn.Conv3d]] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class SparseBatchNorm(GlobalBatchNorm):
    """Batch normalisation whose statistics are those of the active places (SparK: Tian et al., 2023).

    Without a mask it is `GlobalBatchNorm`; parameter and buffer names are the same.
    """

    def forward(self, x: Tensor, active: Tensor | None = None) -> Tensor:
        """Normalise `[B, C, *size]`; `active` is `[B, 1, *size]` bool, and the output is zero elsewhere."""
        if active is None:
            return super().forward(x)
        zero = torch.zeros((), dtype=x.dtype, device=x.device)
        if not self.training:
            return torch.where(active, super().forward(x), zero)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        wide = torch.where(active, wide, torch.zeros((), dtype=wide.dtype, device=x.device))
        over, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
        count = distributed.all_sum(active.sum().to(wide.dtype)).clamp_min(1)
        mean = distributed.all_sum(wide.sum(over)) / count
        centred = torch.where(active, wide - mean.view(shape), torch.zeros((), dtype=wide.dtype, device=x.device))
        variance = distributed.all_sum(centred.square().sum(over)) / count
        self._track(mean, variance, count.clamp_min(2))
        y = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None and self.bias is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return torch.where(active, y.to(x.dtype), zero)


class SparseBlock(nn.Module):
    """Basic residual block: two convolutions of width 3 (He et al., 2016).

    Args:
        rank: S.
        inputs: channels in.
        outputs: channels out.
        stride: along each axis.
    """

    def __init__(self, rank: int, inputs: int, outputs: int, stride: Sequence[int]) -> None:
        super().__init__()
        conv = CONV[rank - 1]
        step = tuple(stride)
        self.conv1 = conv(inputs, outputs, 3, stride=step, padding=1, bias=False)  # type: ignore[arg-type]
        self.norm1 = SparseBatchNorm(outputs)
        self.conv2 = conv(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = SparseBatchNorm(outputs)
        same = inputs == outputs and max(step) == 1
        self.skip = None if same else conv(inputs, outputs, 1, stride=step, bias=False)  # type: ignore[arg-type]
        self.skip_norm = None if same else SparseBatchNorm(outputs)

    def forward(self, x: Tensor, active: Tensor | None = None) -> Tensor:
        """`[B, C, *size]`, zero where hidden, to the next map; `active` is of the output's size."""
        y = F.relu(self.norm1(self.conv1(x), active))
        y = self.norm2(self.conv2(y), active)
        if self.skip is not None and self.skip_norm is not None:
            x = self.skip_norm(self.skip(x), active)
        return F.relu(y + x)


def spread(active: Tensor, factors: Sequence[int]) -> Tensor:
    """A `[B, 1, *grid]` mask on a grid finer by whole factors."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            active = active.repeat_interleave(factor, dim=2 + axis)
    return active
