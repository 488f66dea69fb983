"""The content of a token's cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


def cell_contents(values: Tensor, patch: Sequence[int], cell: Sequence[int]) -> Tensor:
    """Raw contents of tokens, cell by cell.

    Args:
        values: `[B, N, T]` contents, places of the patch first, as tokenizers of grids give them.
        patch: places of a token along each axis.
        cell: places of a cell, which divide the patch.

    Returns:
        `[B, N, cells, T / cells]`, cells and the places in them in row-major order.
    """
    rank = len(patch)
    split = [n for p, c in zip(patch, cell, strict=True) for n in (p // c, c)]
    x = values.reshape(*values.shape[:2], *split, -1)  # [B, N, f0, c0, f1, c1, ..., C]
    order = (0, 1, *range(2, 2 + 2 * rank, 2), *range(3, 3 + 2 * rank, 2), 2 + 2 * rank)
    cells = math.prod(p // c for p, c in zip(patch, cell, strict=True))
    return x.permute(order).reshape(*values.shape[:2], cells, -1)
