"""An orthonormal basis of patches: principal components of those seen so far, cosines before."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.errors import ConfigError
from ssl_platform.losses.precision import full_precision

LARGEST = 6144  # numbers in a patch; the basis and the moments it is learnt from hold the square of it each


class PatchBasis(nn.Module):
    """Principal components of normalised patches, by falling variance.

    Until `fit` the basis is a cosine transform over the patch and its channels, slow ones first, to which principal
    components of natural patches come close.

    Args:
        sides: of a patch along each axis, the channels' last.

    Raises:
        ConfigError: the patch is too large.
    """

    basis: Tensor
    variance: Tensor
    moment: Tensor
    count: Tensor

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        width = math.prod(sides)
        if width > LARGEST:
            raise ConfigError(f"components of patches of {width} numbers are too large: lower backbone.patch")
        self.register_buffer("basis", cosines(sides))
        self.register_buffer("variance", torch.zeros(width))
        self.register_buffer("moment", torch.zeros(width, width))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def add(self, moment: Tensor, count: Tensor) -> None:
        """Count further patches, of all ranks.

        Args:
            moment: `[T, T]` this rank's sum of `x x^T`.
            count: scalar, patches in it.
        """
        self.moment += distributed.all_sum(moment.to(self.moment))
        self.count += distributed.all_sum(count.to(self.count))

    @torch.no_grad()
    def fit(self) -> None:
        """Take the principal components about zero of all patches counted."""
        values, vectors = torch.linalg.eigh((self.moment / self.count.clamp_min(1)).double())
        self.basis.copy_(distributed.broadcast(vectors.flip(1).T.to(self.basis)))
        self.variance.copy_(distributed.broadcast(values.flip(0).clamp_min(0).to(self.variance)))


@full_precision
@torch.no_grad()
def moments(patches: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sum of `x x^T` over `[B, N, T]` patches (where `[B, N]` valid), `[T, T]`, and their number."""
    x = patches.flatten(0, 1)
    if valid is None:
        return x.T @ x, x.new_full((), float(len(x)))
    kept = torch.where(valid.flatten()[:, None], x, torch.zeros((), dtype=x.dtype, device=x.device))
    return kept.T @ kept, valid.sum().to(x.dtype)


def cosines(sides: Sequence[int]) -> Tensor:
    """`[T, T]` orthonormal cosine transform (type II) of a box in row-major order, by rising frequency."""
    basis = torch.ones(1, 1, dtype=torch.float64)
    for n in sides:
        place, order = torch.arange(n, dtype=torch.float64) + 0.5, torch.arange(n, dtype=torch.float64)
        axis = torch.cos(math.pi / n * order[:, None] * place) * math.sqrt(2 / n)
        axis[0] /= math.sqrt(2)
        basis = torch.kron(basis, axis)
    frequency = [
        sum((k / n) ** 2 for k, n in zip(ks, sides, strict=True)) for ks in itertools.product(*map(range, sides))
    ]
    return basis[torch.tensor(frequency).argsort(stable=True)].float()
