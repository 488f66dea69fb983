"""Label propagation: the labels of a first frame follow features through the video, with nothing learnt.

Each cell takes the labels of the cells most like it in the first frame and the latest ones, near where it lies: the
protocol of video object segmentation, part and pose tracking (Jabri, Owens, Efros, Space-Time Correspondence as a
Contrastive Random Walk, NeurIPS 2020, section 4.1; CropMAE and RSP use the same with other numbers).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_PAIRS = 2**26  # of cells that are compared at once


@dataclass(frozen=True)
class Propagation:
    """How labels travel.

    Attributes:
        context: latest frames that are looked at besides the first.
        neighbours: cells that give a cell its label.
        radius: cells around a place that are looked at, in both directions; None for the whole frame.
        temperature: of the softmax over the neighbours.
    """

    context: int = 20
    neighbours: int = 10
    radius: int | None = 12
    temperature: float = 0.05


@torch.no_grad()
def propagate(features: Tensor, labels: Tensor, settings: Propagation | None = None) -> Tensor:
    """Carry labels from the first frame through all others.

    Args:
        features: `[T, D, H, W]` of the frames of one video, any scale (they are normalised).
        labels: `[K, H, W]` of the first frame: one-hot masks or heat maps.
        settings: how labels travel; those of the contrastive random walk by default.

    Returns:
        `[T, K, H, W]`; the first is `labels`. Where labels are one-hot, every cell sums to 1.
    """
    s = settings or Propagation()
    frames, _, height, width = features.shape
    cells = F.normalize(features.flatten(2), dim=1).transpose(1, 2)  # [T, N, D]
    near = _near(height, width, s.radius, features.device)
    source = labels.flatten(1).transpose(0, 1).to(cells.dtype)  # [N, K]
    latest: deque[tuple[Tensor, Tensor]] = deque(maxlen=s.context)
    found = [source]
    for t in range(1, frames):
        context = [(cells[0], source), *latest]
        found.append(_one_frame(cells[t], context, near, s))
        latest.append((cells[t], found[-1]))
    return torch.stack(found).transpose(1, 2).unflatten(2, (height, width))


def _one_frame(query: Tensor, context: list[tuple[Tensor, Tensor]], near: Tensor | None, s: Propagation) -> Tensor:
    """Labels `[N, K]` of one frame from those of the context frames."""
    keys = torch.cat([key for key, _ in context])  # [C N, D]
    values = torch.cat([value for _, value in context])
    found = []
    for rows in torch.arange(len(query), device=query.device).split(max(1, _PAIRS // len(keys))):
        alike = query[rows] @ keys.T
        if near is not None:
            alike = alike.masked_fill(~near[rows].repeat(1, len(context)), -torch.inf)
        alike, cell = alike.topk(min(s.neighbours, len(keys)), dim=1)
        weight = (alike / s.temperature).softmax(dim=1)
        found.append(torch.einsum("nk,nkc->nc", weight, values[cell]))
    return torch.cat(found)


def _near(height: int, width: int, radius: int | None, device: torch.device) -> Tensor | None:
    """`[N, N]` bool, which cells lie within the radius of which."""
    if radius is None:
        return None
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    y, x = y.flatten(), x.flatten()
    return ((y[:, None] - y).abs() <= radius) & ((x[:, None] - x).abs() <= radius)


def masks_of(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks `[T, *size]` int64 of propagated one-hot labels `[T, K, H, W]`, background first.

    Each object's map is stretched to `[0, 1]` in every frame before the largest wins, as the protocols do, so that a
    small object is not outvoted by a soft background.
    """
    full = F.interpolate(labels, size=size, mode="bilinear", align_corners=False)
    low, high = full.amin((2, 3), keepdim=True), full.amax((2, 3), keepdim=True)
    stretched = torch.where(high > low, (full - low) / (high - low).clamp_min(1e-12), full)
    stretched[:, 0] = full[:, 0]
    return stretched.argmax(1)


def points_of(labels: Tensor, best: int | None = None) -> Tensor:
    """Places `[T, K, 2]` (down, across, as fractions of the frame) of heat maps `[T, K, H, W]`: their mean place.

    Args:
        labels: the heat maps.
        best: cells of each map that count, the highest ones; None for all.
    """
    height, width = labels.shape[2:]
    weight, cell = labels.clamp_min(0).flatten(2).topk(min(best or height * width, height * width), dim=2)
    weight = weight / weight.sum(2, keepdim=True).clamp_min(1e-12)
    down = (torch.div(cell, width, rounding_mode="floor") + 0.5) / height
    across = (cell % width + 0.5) / width
    return torch.stack([(weight * down).sum(2), (weight * across).sum(2)], -1)
