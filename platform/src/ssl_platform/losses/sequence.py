"""Telling what comes later in a sequence from everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.precision import full_precision

Source = Literal["all", "own", "others"]


@full_precision
def future_info_nce(
    predictions: Sequence[Tensor],
    z: Tensor,
    first: int,
    valid: Tensor | None = None,
    negatives: Source = "all",
) -> Tensor:
    """InfoNCE of what lies k steps ahead, the mean over horizons (van den Oord et al., 2018, eq. 3-4).

    Each prediction must pick its target, by dot products, among all segments that are anybody's target.

    Args:
        predictions: K tensors `[B, T - k, J, D]` for k = `first`, `first` + 1, ...: at `[:, t, j]` of what is at
            `z[:, t + k, j]`.
        z: `[B, T, J, D]` segments: T along the sequence, J beside one another.
        first: the nearest horizon, at least 1.
        valid: `[B, T, J]` bool, which segments are real; the others are neither targets nor candidates.
        negatives: `all` segments, or only those of the `own` sequence or of `others`.

    Returns:
        Scalar. ln N where all N candidates score alike.

    Raises:
        ValueError: shapes do not fit.
    """
    count, steps, lanes, _ = z.shape
    everyone = distributed.gather(z)[:, first:].flatten(0, 2)  # [M, D]
    sequence = torch.arange(distributed.world() * count, device=z.device)
    owner = sequence.repeat_interleave((steps - first) * lanes)  # [M]
    real = None if valid is None else distributed.gather(valid)[:, first:].flatten()
    mine = sequence[:count] + distributed.offset(count)
    losses = []
    for number, prediction in enumerate(predictions):
        ahead = first + number
        if prediction.shape[1] != steps - ahead:
            raise ValueError(f"{ahead} ahead in {steps} needs {steps - ahead} predictions, got {prediction.shape[1]}")
        place = torch.arange(number, steps - first, device=z.device)  # of the targets among those after `first`
        target = (mine[:, None] * (steps - first) + place)[:, :, None] * lanes + torch.arange(lanes, device=z.device)
        target = target.flatten()  # [R]
        logits = prediction.flatten(0, 2) @ everyone.T  # [R, M]
        same = mine.repeat_interleave((steps - ahead) * lanes)[:, None] == owner
        dropped = {"all": torch.zeros_like(same), "own": ~same, "others": same}[negatives]
        if real is not None:
            dropped = dropped | ~real
        own = target[:, None] == torch.arange(len(everyone), device=z.device)
        rows = F.cross_entropy(logits.masked_fill(dropped & ~own, -torch.inf), target, reduction="none")
        losses.append(masked_mean(rows, None if valid is None else valid[:, ahead:].flatten()))
    return torch.stack(losses).mean()
