"""Contrast within a batch of views where the plain softmax over cosines is not enough: labels, bias, other kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.contrastive import pair_logits
from ssl_platform.losses.precision import full_precision
from ssl_platform.losses.supervised import UNKNOWN

CLOSEST = 1e-6
"""Least squared distance of two unit vectors: cosines in float32 carry errors of 1e-7."""


@full_precision
def supcon(
    z: Tensor,
    label: Tensor | None = None,
    temperature: float = 0.1,
    *,
    positives: Tensor | None = None,
    base_temperature: float | None = None,
    inside: bool = False,
) -> Tensor:
    """Contrast with several positives (Khosla et al., 2020, eq. 2, `L_out`; eq. 3, `L_in`).

    Args:
        z: `[B, V, D]` embeddings of V views of every sample, of any length.
        label: `[B]` int64 classes, -1 where unknown (such a sample has only its own views for positives); or `[B, K]`
            float, 0/1 of several classes (nan unknown): a pair weighs what its classes share over all they have
            (Jaccard). None: own views only, which with two views is NT-Xent.
        temperature: above 0.
        positives: `[B, N]` weights of at least 0 instead of labels, rows of this rank by samples of all ranks; an
            anchor is never its own positive, and one without any contributes 0.
        base_temperature: the loss is multiplied by temperature over this; None: by 1.
        inside: average the positives inside the logarithm (`L_in`, the weaker form).

    Returns:
        Scalar, the mean over anchors. log(N V - 1) when all embeddings are equal.

    Raises:
        ValueError: `z` is not `[B, V, D]`, or both labels and positives are given.
    """
    if z.ndim != 3:
        raise ValueError(f"supcon needs embeddings [B, V, D], got {tuple(z.shape)}")
    if label is not None and positives is not None:
        raise ValueError("supcon takes labels or positives, not both")
    count, views, _ = z.shape
    z = F.normalize(z, dim=2)
    everyone = distributed.gather(z)  # [N, V, D]
    row = torch.arange(count, device=z.device) + distributed.offset(count)
    same = row[:, None] == torch.arange(len(everyone), device=z.device)  # [B, N]
    weight = same.to(z.dtype) if positives is None else positives.to(z.dtype)
    if label is not None:
        weight = torch.where(same, 1.0, _likeness(label, z.dtype))
    itself = (same[:, None, :, None] & torch.eye(views, dtype=torch.bool, device=z.device)[None, :, None]).flatten(2)
    itself = itself.flatten(0, 1)  # [B V, N V]
    logits = (z.flatten(0, 1) @ everyone.flatten(0, 1).T / temperature).masked_fill(itself, -torch.inf)
    weight = weight.repeat_interleave(views, 0).repeat_interleave(views, 1).masked_fill(itself, 0.0)
    log_prob = logits - logits.logsumexp(dim=1, keepdim=True)
    total = weight.sum(dim=1)
    share = weight / torch.where(total > 0, total, 1.0)[:, None]
    if inside:
        chosen = (log_prob + share.clamp_min(torch.finfo(z.dtype).tiny).log()).masked_fill(share == 0, -torch.inf)
        # An anchor without positives would be the logarithm of nothing: it takes any number and is masked below.
        rows = -torch.where(total[:, None] > 0, chosen, torch.zeros_like(chosen)).logsumexp(dim=1)
    else:
        rows = -(share * log_prob.masked_fill(itself, 0.0)).sum(dim=1)
    scale = 1.0 if base_temperature is None else temperature / base_temperature
    return scale * torch.where(total > 0, rows, torch.zeros_like(rows)).mean()


def _likeness(label: Tensor, dtype: torch.dtype) -> Tensor:
    """`[B, N]` weight of each pair of samples by their labels, 0 where one is unknown."""
    everyone = distributed.gather(label)
    if label.ndim == 1:
        known = (label != UNKNOWN)[:, None]
        return ((label[:, None] == everyone) & known).to(dtype)
    mine, theirs = (part.nan_to_num(0.0).to(dtype) for part in (label, everyone))
    shared = mine @ theirs.T
    either = mine.sum(dim=1)[:, None] + theirs.sum(dim=1) - shared
    return shared / torch.where(either > 0, either, torch.ones_like(either))


@full_precision
def debiased_nt_xent(a: Tensor, b: Tensor, temperature: float, tau_plus: float, group: Tensor | None = None) -> Tensor:
    """NT-Xent whose negatives are corrected for samples of the anchor's own class (Chuang et al., 2020, eq. 6-8).

    Args:
        a, b: `[B, D]` embeddings of two views of the same samples, of any length.
        temperature: t, above 0.
        tau_plus: probability that another sample is of the same class, in [0, 1).
        group: as for `nt_xent`; N counts the negatives that are left.

    Returns:
        Scalar. log(1 + N), with N = 2 B - 2 of the global batch, when all embeddings are equal.
    """
    logits, sibling = pair_logits(a, b, temperature, group)
    own = logits.gather(1, sibling[:, None])[:, 0]
    others = logits.scatter(1, sibling[:, None], -torch.inf)
    number = others.isfinite().sum(dim=1).to(logits.dtype)
    # Everything is relative to the row's largest term, so that no temperature overflows.
    top = logits.detach().amax(dim=1)
    positive, negative = (own - top).exp(), (others - top[:, None]).exp().sum(dim=1)
    corrected = (negative - tau_plus * number * positive) / (1 - tau_plus)
    least = number * (-1 / temperature - top).exp()
    corrected = torch.where(corrected > least, corrected, least)
    return ((positive + corrected).log() - (own - top)).mean()


@full_precision
def kernel_info_nce(a: Tensor, b: Tensor, temperature: float, gamma: float, group: Tensor | None = None) -> Tensor:
    """NT-Xent with the kernel `exp(-||x - y||^gamma / temperature)` of unit vectors (Tan et al., 2024, section 5).

    Args:
        a, b: `[B, D]` embeddings of two views of the same samples, of any length.
        temperature: tau, above 0.
        gamma: 2 is Gaussian (NT-Xent at half the temperature), 1 Laplacian, less has a heavier tail.
        group: as for `nt_xent`.

    Returns:
        Scalar. log(2 N - 1) when all embeddings are equal.
    """
    cosine, sibling = pair_logits(a, b, 1.0, group)
    # Two equal vectors are at distance 0, where roots have no slope: the least squared distance is above rounding.
    power = (2 - 2 * cosine).clamp_min(CLOSEST).pow(gamma / 2)
    return F.cross_entropy(-power / temperature, sibling)
