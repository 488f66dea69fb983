"""Actions: how one view's recorded parameters differ from another's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.errors import ConfigError
from ssl_platform.types import View

GEOMETRY = "crop."  # parameters of the crop, which both views share


def action_of(source: View, target: View, size: int) -> Tensor:
    """`[B, size]` differences of the intensity parameters of two views, zeros behind them.

    Parameters come in the order of their names. One that only one of the views has counts as it is, and with the
    opposite sign where that is the target: an operation that is left out is one of strength 0. A difference that is not
    finite (of limits at infinity, where nothing was drawn) counts as 0.

    Raises:
        ConfigError: there are more parameters than `size`.
    """
    names = sorted(name for name in source.params | target.params if not name.startswith(GEOMETRY))
    parts = []
    for name in names:
        a, b = source.params.get(name), target.params.get(name)
        parts.append(a - b if a is not None and b is not None else a if a is not None else -_known(b))
    if not parts:
        return source.x.new_zeros(len(source), size)
    action = torch.cat([part.to(source.x.dtype) for part in parts], dim=1)
    if action.shape[1] > size:
        raise ConfigError(
            f"objective.actions={size} is less than the {action.shape[1]} parameters these views are drawn with: "
            f"raise it"
        )
    finite = action.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return F.pad(finite, (0, size - action.shape[1]))


def _known(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
