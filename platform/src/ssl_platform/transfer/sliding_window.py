"""Dense prediction of items larger than a window: overlapping windows, blended with a smooth weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from ssl_platform.types import Window


def starts(length: int, size: int, overlap: float) -> list[int]:
    """First cells of windows of `size` that cover `length`, the last one flush with the end.

    Args:
        length: cells of the item along one axis.
        size: cells of a window.
        overlap: least overlap of neighbours as a fraction of the window, in `[0, 1)`.
    """
    if length <= size:
        return [-((size - length) // 2)]
    step = max(1, int(size * (1 - overlap)))
    count = -(-(length - size) // step) + 1
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def windows_over(shape: Sequence[int], size: Sequence[int], overlap: float = 0.5) -> Iterator[Window]:
    """Windows that cover an item of `shape`."""
    for start in product(*[starts(n, s, overlap) for n, s in zip(shape, size, strict=True)]):
        yield Window(tuple(start), tuple(size))


def blending(size: Sequence[int]) -> np.ndarray:
    """`[*size]` positive weights, a product of Gaussians with sigma an eighth of the window (nnU-Net's choice)."""
    weight = np.ones(tuple(size), np.float32)
    for axis, n in enumerate(size):
        line = np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2)
        weight *= np.maximum(line, 1e-3).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(len(size))])
    return weight


@torch.inference_mode()
def sliding_window(
    logits: Callable[[list[Window]], Tensor],
    shape: Sequence[int],
    size: Sequence[int],
    classes: int,
    overlap: float = 0.5,
    batch: int = 4,
) -> np.ndarray:
    """`[classes, *shape]` float32 class probabilities of one item.

    Args:
        logits: reads some windows and returns `[b, classes, *size]` logits.
        shape: cells of the item.
        size: cells of a window.
        classes: channels of the logits.
        overlap: of neighbouring windows.
        batch: windows at once.
    """
    total = np.zeros((classes, *shape), np.float32)
    weight_sum = np.zeros(tuple(shape), np.float32)
    weight = blending(size)
    windows = list(windows_over(shape, size, overlap))
    for first in range(0, len(windows), batch):
        chosen = windows[first : first + batch]
        probabilities = logits(chosen).float().softmax(dim=1).cpu().numpy()
        for window, found in zip(chosen, probabilities, strict=True):
            inside, local = _overlap(window, shape)
            total[(slice(None), *inside)] += (found * weight)[(slice(None), *local)]
            weight_sum[inside] += weight[local]
    total /= np.maximum(weight_sum, 1e-12)
    return total


def _overlap(window: Window, shape: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    inside, local = [], []
    for first, size, length in zip(window.start, window.size, shape, strict=True):
        low, high = max(0, first), min(length, first + size)
        inside.append(slice(low, high))
        local.append(slice(low - first, high - first))
    return tuple(inside), tuple(local)
