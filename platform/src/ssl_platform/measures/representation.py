"""How much a set of embeddings uses its space. All without gradient, on the rows given (gather first)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def effective_rank(z: Tensor, centre: bool = False) -> Tensor:
    """Exponential of the entropy of the normalised singular values: RankMe (Garrido et al., 2023).

    Args:
        z: `[n, D]` embeddings.
        centre: subtract the mean first (RankMe does not).

    Returns:
        Scalar in `[1, min(n, D)]`; 1 for a constant embedding.
    """
    z = wide(z)
    if centre:
        z = z - z.mean(dim=0)
    values = torch.linalg.svdvals(z)
    share = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return entropy(share).exp()


@torch.no_grad()
def dimension_std(z: Tensor, unit: bool = True) -> Tensor:
    """Standard deviation of every dimension.

    Args:
        z: `[n, D]`.
        unit: scale rows to unit length first: an isotropic embedding then has 1/sqrt(D), a collapsed one 0 (Chen, He,
            2021, SimSiam, section 4.1).

    Returns:
        `[D]`.
    """
    z = wide(z)
    return (F.normalize(z, dim=1) if unit else z).std(dim=0, correction=0)


@torch.no_grad()
def norm_outliers(tokens: Tensor, valid: Tensor | None = None, fences: float = 3.0) -> Tensor:
    """Share of tokens whose norm is far above the others', as of patches turned into memory (Darcet et al., 2024).

    The published threshold (150) is one model's. Here a norm is far out beyond the upper quartile plus `fences` times
    the distance of the quartiles (Tukey, 1977), whatever the model's scale.

    Args:
        tokens: `[B, N, D]` output tokens of a set of items, without prefix.
        valid: `[B, N]` bool, or None.
        fences: distances of the quartiles above the upper one.

    Returns:
        Scalar in `[0, 1]`.
    """
    norms = wide(tokens).norm(dim=-1)
    norms = norms.flatten() if valid is None else norms[valid]
    low, high = torch.quantile(norms, torch.tensor([0.25, 0.75], dtype=norms.dtype, device=norms.device))
    return (norms > high + fences * (high - low)).to(norms.dtype).mean()


@torch.no_grad()
def alignment(a: Tensor, b: Tensor, power: float = 2.0) -> Tensor:
    """Mean distance of paired unit vectors to a power (Wang, Isola, 2020, section 4.1.1).

    Args:
        a, b: `[n, D]` embeddings of two views.
        power: of the distance.

    Returns:
        Scalar in `[0, 2 ** power]`; 0 when all pairs agree.
    """
    distance = (F.normalize(wide(a), dim=1) - F.normalize(wide(b), dim=1)).norm(dim=1)
    return distance.pow(power).mean()


@torch.no_grad()
def uniformity(z: Tensor, t: float = 2.0) -> Tensor:
    """Log of the mean Gaussian potential of pairs of unit vectors (Wang, Isola, 2020, section 4.1.2).

    Args:
        z: `[n, D]`, n of at least 2.
        t: the potential's sharpness.

    Returns:
        Scalar in `[-4 t, 0]`; 0 for a constant embedding, lower when more spread.
    """
    z = F.normalize(wide(z), dim=1)
    row, column = torch.triu_indices(len(z), len(z), offset=1, device=z.device)
    squared = (2 - 2 * z @ z.T)[row, column].clamp_min(0)
    return (-t * squared).logsumexp(dim=0) - torch.tensor(float(len(squared)), device=z.device).log()


@torch.no_grad()
def entropy(probs: Tensor) -> Tensor:
    """Entropy in nats over the last axis: `[..., K]` probabilities to `[...]`, each in `[0, ln K]`.

    The mean over rows tells how sharp a teacher is; the entropy of the mean row tells how many outputs are used.
    """
    probs = wide(probs)
    return -torch.special.xlogy(probs, probs).sum(dim=-1)


def wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
