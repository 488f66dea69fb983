"""What a model is trained on: the target of a view, and the loss of what is said about it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.transfer.dense_labels import carry_labels, carry_point_labels, dice_cross_entropy
from ssl_platform.transfer.masks import UNKNOWN
from ssl_platform.transfer.task import Task
from ssl_platform.types import Batch, View
from ssl_platform.views.maker import ViewMaker


def task_loss(task: Task, output: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """The loss of a batch; unknown targets count nowhere.

    Args:
        task: classification: cross-entropy; multi-label: binary cross-entropy; regression: squared error in units of
            the target's deviation; segmentation: Dice plus cross-entropy.
        output: `[B, K]` or `[B, K, *size]`.
        target: `[B]` int64 (-1 unknown), `[B, K]` or `[B]` float (nan unknown), or `[B, *size]` int64 (-1 unknown).
        scale: the target's deviation (regression).
    """
    if task.kind == "segmentation":
        return dice_cross_entropy(output, target, UNKNOWN)
    output = output.float()
    if task.kind == "classification":
        known = target >= 0
        each = F.cross_entropy(output, target.clamp_min(0), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)
    target = target.float().view_as(output)
    known = ~torch.isnan(target)
    safe = torch.where(known, target, torch.zeros_like(target))
    if task.kind == "multi-label":
        each = F.binary_cross_entropy_with_logits(output, safe, reduction="none")
    else:
        each = ((output - safe) / scale).square()
    return (each * known).sum() / known.sum().clamp_min(1)


def view_and_target(task: Task, batch: Batch, maker: ViewMaker) -> tuple[View, Tensor]:
    """The training view of a batch and its target, for segmentation on the cells or points of the view."""
    (view,) = maker(batch)
    if task.kind != "segmentation":
        assert batch.label is not None
        return view, batch.label
    assert view.geometry is not None
    if maker.layout.points:
        return view, carry_point_labels(batch.reads[0]["mask"], batch.reads[0]["main"], view, UNKNOWN)
    return view, carry_labels(batch.reads[0]["mask"], view.geometry, tuple(view.x.shape[2:]), UNKNOWN)
