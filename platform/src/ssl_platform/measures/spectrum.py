"""Which spatial frequencies a layer's token map holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.measures.representation import wide

EPS = 1e-8


@torch.no_grad()
def log_amplitude(maps: Tensor) -> Tensor:
    """Mean log amplitude of the Fourier transform along the diagonal, from frequency zero to the highest (Park, Kim,
    2022, "How Do Vision Transformers Work?", section 3; Park et al., 2023, section 2).

    Differences to the first entry compare layers and models. A real map's lowest entry has a real coefficient, which
    lies 0.35 below the others for white noise; so does the highest one where all sides are even.

    Args:
        maps: `[B, D, *grid]` token maps of any rank.

    Returns:
        `[B, K]` natural logarithms, `K = max(grid) // 2 + 1`; entry k is at `k / max(grid)` cycles a token along every
        axis.
    """
    grid = maps.shape[2:]
    spectrum = torch.fft.fftn(wide(maps), dim=tuple(range(2, maps.ndim))).abs()
    along = diagonal(grid)
    picked = spectrum[(slice(None), slice(None), *(torch.tensor(axis, device=maps.device) for axis in along))]
    return (picked + EPS).log().mean(dim=1)


def diagonal(grid: Sequence[int]) -> list[list[int]]:
    """For each axis, the bins of the diagonal: equal cycles a token along all axes, up to the highest frequency."""
    longest = max(grid)
    return [[(2 * k * n + longest) // (2 * longest) for k in range(longest // 2 + 1)] for n in grid]
