"""Cross-entropy on quantised values: soft bins, weights of rare bins, and the way back from a distribution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.precision import full_precision


@full_precision
@torch.no_grad()
def soft_bins(values: Tensor, centres: Tensor, nearest: int = 5, sigma: float = 0.5) -> Tensor:
    """Each value as a distribution over its nearest bins, weighted by a Gaussian (Zhang, Isola, Efros, 2016, sec. 2.2).

    Args:
        values: `[...]`; those beyond the outer bins count as these.
        centres: `[Q]`, rising by equal steps.
        nearest: bins with weight, at most Q.
        sigma: of the Gaussian, in steps; towards 0 the nearest bin takes all.

    Returns:
        `[..., Q]`, sums of 1.
    """
    step = centres[1] - centres[0]
    inside = values.clamp(centres[0], centres[-1])[..., None]
    square = ((inside - centres) / (step * max(sigma, 1e-6))).square()
    close, index = square.topk(min(nearest, len(centres)), dim=-1, largest=False)
    weight = torch.softmax(-close / 2, dim=-1)
    return torch.zeros_like(square).scatter_(-1, index, weight)


@full_precision
def rebalanced(prior: Tensor, mix: float = 0.5, sigma: float = 0.5) -> Tensor:
    """Weights that lift rare bins: `w ~ 1 / ((1 - mix) p + mix / Q)` with `sum p w = 1` (Zhang et al., 2016, eq. 4).

    Args:
        prior: `[..., Q]` how often each bin occurs, sums of 1.
        mix: share of the uniform distribution; 1 for equal weights.
        sigma: of the Gaussian that smooths the prior, in steps; 0 for none.

    Returns:
        `[..., Q]`.
    """
    count = prior.shape[-1]
    if sigma:
        place = torch.arange(count, dtype=prior.dtype, device=prior.device)
        kernel = torch.exp(-((place[:, None] - place) / sigma).square() / 2)
        prior = prior @ (kernel / kernel.sum(0))  # equal shares stay equal, at the ends too
        prior = prior / prior.sum(-1, keepdim=True)
    weight = 1 / ((1 - mix) * prior + mix / count)
    return weight / (prior * weight).sum(-1, keepdim=True)


@full_precision
def binned_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean of `-v sum_q Z_q log P_q`, v the weight of the target's most likely bin (Zhang et al., 2016, eq. 2).

    Args:
        logits: `[..., Q]`.
        target: `[..., Q]` probabilities; no gradient flows into them.
        weight: `[..., Q]` of the bins, to be broadcast against `target`.
        valid: `[...]` bool, what counts (over all ranks); None: all.

    Returns:
        Scalar. ln Q for equal logits and equal weights.
    """
    target = target.detach()
    v = weight.expand_as(target).gather(-1, target.argmax(-1, keepdim=True))[..., 0]
    return masked_mean(v * -(target * F.log_softmax(logits, dim=-1)).sum(-1), valid)


@full_precision
def annealed_mean(logits: Tensor, centres: Tensor, temperature: float = 0.38) -> Tensor:
    """`[...]` mean of `[..., Q]` distributions sharpened by a temperature (Zhang et al., 2016, eq. 5).

    The mean of the distribution at 1, its mode towards 0.
    """
    return (torch.softmax(logits / temperature, dim=-1) * centres).sum(-1)
