"""Telling a sample's own memory from others drawn at random."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def noise_contrast(own: Tensor, noise: Tensor, log_normaliser: Tensor, count: int) -> Tensor:
    """Noise-contrastive estimation of which of `count` samples it is (Wu et al., 2018, eq. 5-7).

    `h = P / (P + m / n)` with `P = exp(s) / Z` is a sigmoid of `s - ln Z - ln(m / n)`.

    Args:
        own: `[B]` similarities over temperature with the own memory.
        noise: `[B, m]` the same with memories drawn uniformly.
        log_normaliser: scalar `ln Z`; no gradient flows into it.
        count: n, memories there are.

    Returns:
        Scalar, the mean over samples. `ln(m + 1) + m ln(1 + 1 / m)` where all similarities are `ln Z - ln n`.
    """
    shift = log_normaliser.detach() + math.log(noise.shape[1] / count)
    return -(F.logsigmoid(own - shift) + F.logsigmoid(shift - noise).sum(dim=1)).mean()


@full_precision
@torch.no_grad()
def estimated_log_normaliser(own: Tensor, noise: Tensor, count: int) -> Tensor:
    """`ln Z`: the logarithm of `count` times the mean of `exp(s)` over all ranks (Wu et al., 2018, eq. 8).

    Args:
        own, noise, count: as for `noise_contrast`.
    """
    scores = torch.cat((own[:, None], noise), dim=1)
    everyone = distributed.gather(scores.flatten().logsumexp(dim=0)[None])
    return everyone.logsumexp(dim=0) + math.log(count / (scores.numel() * len(everyone)))


@full_precision
def memory_contrast(own: Tensor, noise: Tensor) -> Tensor:
    """PIRL's noise-contrastive loss (Misra, van der Maaten, 2020, eq. 3-4).

    `-ln h(m) - sum_n ln(1 - h(m_n))`, `h(x) = exp(s_x) / (exp(s_x) + sum_n exp(s_n))`.

    Args:
        own: `[B]` similarities over temperature with the own memory.
        noise: `[B, N]` the same with memories of others.

    Returns:
        Scalar, the mean over samples. `ln(N + 1) + N ln(1 + 1 / N)` where all similarities are equal: 2 ln 2 for N = 1.
    """
    everything = noise.logsumexp(dim=1)
    repelled = torch.logaddexp(noise, everything[:, None]) - everything[:, None]
    return (torch.logaddexp(own, everything) - own + repelled.sum(dim=1)).mean()


@full_precision
def memory_softmax(own: Tensor, noise: Tensor) -> Tensor:
    """InfoNCE over a memory: cross-entropy of the own memory among `1 + N` (arguments as in `memory_contrast`).

    Returns:
        Scalar, the mean over samples. `ln(N + 1)` where all similarities are equal.
    """
    return (torch.cat((own[:, None], noise), dim=1).logsumexp(dim=1) - own).mean()
