"""Short rows of known numbers, made on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def row(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """`[n]` tensor of `values`.

    Filled on the device: copying a list there (`torch.tensor(..., device=)`) would make the host wait for the device.
    """
    return torch.cat([torch.full((1,), value, dtype=dtype, device=device) for value in values])
