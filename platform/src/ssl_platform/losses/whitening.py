"""Agreement of whitened views: collapse is impossible because every direction has unit variance by construction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def w_mse(
    views: Sequence[Tensor], orders: Sequence[Tensor], size: int, eps: float = 0.0, normalise: bool = True
) -> Tensor:
    """Mean squared distance of the views' whitened embeddings (Ermolov et al., 2021, eq. 3-6).

    The global batch is divided at random into sub-batches of at least `size` samples, the same for all views, and each
    view of a sub-batch is whitened with its own covariance. Where the batch is no multiple of the number of
    sub-batches, the few samples at the end of an order are left out.

    Args:
        views: V of at least 2, each `[B, D]`.
        orders: `[N]` random orders of the global batch, equal on all ranks; the loss is the mean over them.
        size: least samples of a sub-batch; above D.
        eps: shrinkage of the covariance towards the identity, in `[0, 1)`.
        normalise: compare directions, `2 - 2 cos`, rather than the squared distance as a mean over dimensions.

    Returns:
        Scalar, 2 for unrelated views; in `[0, 4]` with `normalise`.

    Raises:
        ValueError: a sub-batch would not be larger than D, so that its covariance is singular.
    """
    # In float64, for views that nearly agree make covariances that are nearly singular.
    z = distributed.gather(torch.stack(tuple(views), dim=1)).double()  # [N, V, D]
    count, dim = z.shape[0], z.shape[2]
    if count < size or size <= dim:
        raise ValueError(
            f"whitening {dim} dimensions needs sub-batches of more than {dim} samples, got {min(size, count)}: raise "
            "data.batch_size or lower the objective's whitened dimensions"
        )
    parts = count // size
    losses = []
    for order in orders:
        chosen = z[order[: count // parts * parts]].unflatten(0, (parts, -1)).transpose(1, 2)  # [parts, V, n, D]
        white = whitened(chosen, eps)
        if normalise:
            white = F.normalize(white, dim=-1) * dim**0.5  # so that the mean over dimensions is 2 - 2 cos
        losses += [F.mse_loss(white[:, a], white[:, b]) for a, b in combinations(range(len(views)), 2)]
    return torch.stack(losses).mean().to(views[0].dtype)


def whitened(z: Tensor, eps: float = 0.0) -> Tensor:
    """Rows of zero mean and identity (unbiased) covariance, by the inverse Cholesky factor of their own covariance.

    Args:
        z: `[..., n, D]`, n above D.
        eps: shrinkage of the covariance towards the identity.

    Returns:
        Shape of `z`; nan where a covariance is singular.
    """
    centred = z - z.mean(dim=-2, keepdim=True)
    covariance = centred.mT @ centred / (z.shape[-2] - 1)
    identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    factor, failed = torch.linalg.cholesky_ex((1 - eps) * covariance + eps * identity)
    factor = torch.where((failed == 0)[..., None, None], factor, torch.nan)
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT
