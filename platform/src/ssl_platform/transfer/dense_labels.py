"""Label maps follow the geometry of a view, and the loss of dense prediction."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.nn.point_groups import nearest_points
from ssl_platform.types import Geometry, PartBatch, View
from ssl_platform.views.clouds import coordinates


def carry_labels(mask: PartBatch, geometry: Geometry, size: tuple[int, ...], ignore: int) -> Tensor:
    """The label of every cell of a view: the nearest cell of the mask, `ignore` outside it.

    Args:
        mask: `[B, 1, *window]` integer labels with the window's spacing and origin.
        geometry: where the view came from.
        size: cells of the view along each axis.
        ignore: label of cells the mask does not reach or where it is invalid.

    Returns:
        `[B, *size]` int64.
    """
    device = mask.data.device
    axes = [(torch.arange(n, device=device) + 0.5) / n for n in size]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(1, -1, len(size))
    source = geometry.to_source(centres.expand(len(mask.data), -1, -1).to(geometry.matrix.dtype))
    cell = ((source - mask.origin[:, None]) / mask.spacing[:, None]).floor().long()
    window = torch.tensor(mask.data.shape[2:], device=device)
    inside = ((cell >= 0) & (cell < window)).all(-1)
    cell = torch.minimum(cell.clamp_min(0), window - 1)
    stride = torch.tensor([int(window[a + 1 :].prod()) for a in range(len(size))], device=device)
    flat = (cell * stride).sum(-1)
    label = mask.data.flatten(1).long().gather(1, flat)
    if mask.valid is not None:
        inside = inside & mask.valid.flatten(1).gather(1, flat)
    return torch.where(inside, label, ignore).view(len(mask.data), *size)


def carry_point_labels(mask: PartBatch, points: PartBatch, view: View, ignore: int) -> Tensor:
    """The label of every point of a view: that of the window's point nearest to where it lies.

    Without jitter that is the point itself.

    Args:
        mask: `[B, N, 1]` integer labels of the window's points.
        points: `[B, N, C]` the window's points.
        view: of them, with geometry and spacing.
        ignore: label of invalid points.

    Returns:
        `[B, n]` int64.
    """
    assert view.geometry is not None and view.spacing is not None
    source = view.geometry.to_source(coordinates(view.x, view.spacing).to(view.geometry.matrix.dtype))
    stored = points.data[..., : source.shape[-1]].to(source.dtype)
    nearest, _ = nearest_points(source, stored, 1, points.valid)
    label = mask.data[..., 0].long().gather(1, nearest[..., 0])
    return label if view.valid is None else torch.where(view.valid, label, ignore)


def dice_cross_entropy(logits: Tensor, target: Tensor, ignore: int, smooth: float = 1e-5) -> Tensor:
    """Mean of soft Dice over classes plus cross-entropy (nnU-Net's loss), over labelled cells only.

    Args:
        logits: `[B, K, *size]`.
        target: `[B, *size]` int64 classes, or `ignore`.
        ignore: label that counts nowhere.
        smooth: added to both sides of the Dice ratio.
    """
    known = target != ignore
    safe = torch.where(known, target, 0)
    log_p = logits.float().log_softmax(dim=1)
    picked = log_p.gather(1, safe[:, None])[:, 0]
    cross_entropy = -(picked * known).sum() / known.sum().clamp_min(1)
    axes = [0, *range(2, logits.ndim)]
    p = log_p.exp() * known[:, None]
    one_hot = F.one_hot(safe, logits.shape[1]).movedim(-1, 1) * known[:, None]
    overlap = (p * one_hot).sum(axes)
    dice = (2 * overlap + smooth) / (p.sum(axes) + one_hot.sum(axes) + smooth)
    return cross_entropy + 1 - dice.mean()
