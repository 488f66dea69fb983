"""Contextualised targets: what several of a teacher's last blocks say of every token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.latent import instance_normalised


def last_ffn(layers: int, depth: int) -> tuple[str, ...]:
    """Names of the taps of the last blocks' feed-forward results.

    Args:
        layers: how many blocks, at most all of them count.
        depth: blocks of the backbone.
    """
    return tuple(f"block.{-n}.ffn" for n in range(1, min(layers, depth) + 1))


@torch.no_grad()
def mean_of_layers(
    outputs: Sequence[Tensor], valid: Tensor | None = None, normalise: bool = True, final_norm: bool = True
) -> Tensor:
    """The mean of several layers' outputs (data2vec 2.0: Baevski et al., 2023, section 3.2).

    Args:
        outputs: `[B, N, D]` each.
        valid: `[B, N]` bool, or None when all tokens are valid.
        normalise: whether each is first normalised over the sample's tokens.
        final_norm: whether the mean is normalised over its features (images; not for audio).

    Returns:
        `[B, N, D]` without gradient.
    """
    parts = [instance_normalised(x, valid) if normalise else x.detach() for x in outputs]
    mean = torch.stack(parts).mean(dim=0)
    return F.layer_norm(mean, mean.shape[-1:]) if final_norm else mean
