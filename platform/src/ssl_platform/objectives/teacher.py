"""A slowly moving copy of the backbone and some heads: the target network of self-distillation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.ema import Ema


class Teacher(nn.Module):
    """EMA of a backbone and of the heads that follow it.

    Args:
        backbone: the student, copied now.
        heads: the student's heads by name, copied now.
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.ema = Ema(nn.ModuleDict({"backbone": backbone, **(heads or {})}))

    @property
    def backbone(self) -> Backbone:
        """The teacher's backbone."""
        found = self.ema.module.get_submodule("backbone")
        assert isinstance(found, Backbone)
        return found

    def head(self, name: str, x: Tensor) -> Tensor:
        """Apply one of the teacher's heads."""
        applied: Tensor = self.ema.module.get_submodule(name)(x)
        return applied

    @torch.no_grad()
    def update(self, backbone: Backbone, heads: Mapping[str, nn.Module], momentum: float) -> None:
        """Move towards the student: `teacher <- m teacher + (1 - m) student`.

        Args:
            backbone: the student after the optimiser moved.
            heads: the same names as at construction.
            momentum: m in `[0, 1]`.
        """
        self.ema.update(nn.ModuleDict({"backbone": backbone, **heads}), momentum)
