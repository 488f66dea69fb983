"""A teacher that is the exponential moving average of its student."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_platform.nn.norm import GlobalBatchNorm


class Ema(nn.Module):
    """A frozen copy of a module that follows it.

    Dropout and stochastic depth stay off in it; batch norms follow the surrounding mode, so that in training they use
    their own batch's statistics, as BYOL's and MoCo's targets do.

    Args:
        module: the student at the start; parameters and buffers are matched by name.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.train(module.training)

    def train(self, mode: bool = True) -> Ema:
        """Set the mode of batch norms; everything else stays in eval mode."""
        super().train(mode)
        self.module.eval()
        for part in self.module.modules():
            if isinstance(part, GlobalBatchNorm | _BatchNorm):
                part.train(mode)
        return self

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The teacher's output, without gradient."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update(self, student: nn.Module, momentum: float) -> None:
        """Move every parameter: `teacher <- momentum * teacher + (1 - momentum) * student`; copy every buffer.

        Args:
            student: of the structure the teacher was copied from.
            momentum: in `[0, 1]`; 1 leaves the parameters bit-identical, 0 copies the student's.

        Raises:
            ValueError: the two do not have the same parameters and buffers.
        """
        mine, theirs = _matched(dict(self.module.named_parameters()), dict(student.named_parameters()))
        if mine and momentum < 1:
            torch._foreach_lerp_(mine, theirs, 1.0 - momentum)
        mine, theirs = _matched(dict(self.module.named_buffers()), dict(student.named_buffers()))
        if mine:
            torch._foreach_copy_(mine, theirs)


def _matched(teacher: dict[str, Any], student: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors of both, in the same order."""
    if teacher.keys() != student.keys():
        name = sorted(teacher.keys() ^ student.keys())[0]
        raise ValueError(f"the teacher and its student differ in {name!r}: build the Ema from the finished student")
    return [t.data for t in teacher.values()], [student[name].data for name in teacher]
