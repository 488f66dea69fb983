"""Distances between small point sets."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
def chamfer(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Squared Chamfer distance (Fan, Su, Guibas, 2017): mean squared distance to the nearest point, both ways.

    Args:
        prediction: `[..., P, S]` points.
        target: `[..., G, S]` points; no gradient flows into them.
        valid: `[..., G]` bool, which target points are real; None: all.

    Returns:
        `[...]`; 0 where no target point is real.
    """
    apart = (prediction[..., :, None, :] - target.detach()[..., None, :, :]).square().sum(-1)  # [..., P, G]
    if valid is None:
        return apart.amin(-1).mean(-1) + apart.amin(-2).mean(-1)
    any_real = valid.any(-1)
    far = torch.where(valid[..., None, :], apart, torch.full_like(apart, torch.inf))
    zero = torch.zeros((), dtype=apart.dtype, device=apart.device)
    nearest_target = torch.where(any_real[..., None], far.amin(-1), zero)
    nearest_prediction = torch.where(valid, apart.amin(-2), zero)
    return nearest_target.mean(-1) + nearest_prediction.sum(-1) / valid.sum(-1).clamp_min(1)
