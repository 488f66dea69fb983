"""Losses between two modalities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def clip_loss(a: Tensor, b: Tensor, scale: Tensor | float, max_scale: float = 100.0) -> Tensor:
    """Symmetric cross-entropy of matching pairs of the global batch (Radford et al., 2021, fig. 3).

    Args:
        a: `[B, D]` embeddings of one modality, of any length.
        b: `[B, D]` embeddings of the other, in the same order.
        scale: factor on cosines, a scalar: the exponential of a learnt parameter. Its gradient is zero above the cap,
            so clamp the parameter itself after each step.
        max_scale: the factor never exceeds it.

    Returns:
        Scalar. log(N) when all embeddings are equal; log(1 + (N - 1) exp(-s)) for orthonormal equal pairs.

    Raises:
        ValueError: `a` and `b` are not `[B, D]` of one shape.
    """
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"needs two [B, D] tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    everyone = distributed.gather(torch.stack((a, b), dim=1))  # [N, 2, D]
    scale = torch.as_tensor(scale, dtype=a.dtype, device=a.device).clamp(max=max_scale)
    target = torch.arange(len(a), device=a.device) + distributed.offset(len(a))
    to_b = F.cross_entropy(scale * a @ everyone[:, 1].T, target)
    to_a = F.cross_entropy(scale * b @ everyone[:, 0].T, target)
    return 0.5 * (to_b + to_a)
