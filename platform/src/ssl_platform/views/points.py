"""Views of point sets: rotation, crop, flips, zoom, jitter, dropout and a fixed number of points.

The coordinates of a view are physical and in the view's own frame: turned, zoomed and centred on its box. The box is
the view's only cell, so `View.spacing` is the box's size and `u = coordinates / spacing + 1/2`. Unlike a grid, a point
set is turned first and cropped in the turned frame, so nothing is lost to corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry
from ssl_platform.views.crop_rule import CropRule
from ssl_platform.views.crops import Crop
from ssl_platform.views.fields import point_shift
from ssl_platform.views.geometry import product
from ssl_platform.views.turns import free_rotation

JITTER = 0.01  # standard deviation of coordinate noise, as a fraction of the box's longest side
DROPOUT = 0.3  # largest fraction of points dropped
ZOOM = (0.8, 1.25)
_MARGIN = 1.001  # the box is a little larger than the points, so none lies on its far edge


@dataclass(frozen=True)
class Frame:
    """A turned box around the valid points of each sample: `source = middle + rotation @ (low + size * w)`.

    Attributes:
        rotation: `[B, S, S]`.
        middle: `[B, S]` the point turned about, in source coordinates.
        low, size: `[B, S]` the box in the turned frame.
        params: what was drawn.
    """

    rotation: Tensor
    middle: Tensor
    low: Tensor
    size: Tensor
    params: dict[str, Tensor]


@dataclass(frozen=True)
class PointRule:
    """What may be done to the points of a view.

    Attributes:
        crop: boxes within the frame, in units of it.
        count: points of the view.
        zoom: whether coordinates are scaled by a common factor.
        jitter: standard deviation of coordinate noise relative to the box's longest side.
        dropout: largest fraction of points dropped.
        shift: strength of a smooth random field of shifts, 0 for none (see `ssl_platform.views.fields`).
        gamma: its smoothness.
    """

    crop: CropRule
    count: int
    zoom: bool = False
    jitter: float = 0.0
    dropout: float = 0.0
    shift: float = 0.0
    gamma: float = 0.0


def frame(rule: CropRule, draws: Draws, points: Tensor, valid: Tensor | None) -> Frame:
    """The turned frame of each sample.

    Args:
        rule: planes and degrees of the rotation.
        draws: the view's stream.
        points: `[B, N, S]` source coordinates.
        valid: `[B, N]` bool, or None.
    """
    low, size = bounds(points, valid)
    middle = low + size / 2
    rotation = torch.eye(points.shape[-1], device=points.device).expand(len(points), -1, -1)
    params: dict[str, Tensor] = {}
    if rule.planes:
        rotation, params = free_rotation(rule, draws, torch.ones_like(low))
    turned = _turn(points - middle[:, None], rotation)
    low, size = bounds(turned, valid)
    return Frame(rotation, middle, low, size, params)


def cut(
    x: Tensor, valid: Tensor | None, place: Frame, crop: Crop, rule: PointRule, draws: Draws, item: Tensor
) -> tuple[Tensor, Tensor, Geometry, Tensor, dict[str, Tensor]]:
    """A view of each point set.

    Args:
        x: `[B, N, C]` float32; the first S channels are source coordinates.
        valid: `[B, N]` bool, or None.
        place: the turned frame.
        crop: boxes in the frame, whose box counts as one cell.
        rule: what may be done.
        draws: the view's stream.
        item: `[B]` int64.

    Returns:
        `[B, count, C]`, its validity `[B, count]`, geometry, box sizes `[B, S]` and the parameters drawn. Where fewer
        points than `count` lie in the box, the rest are zero and invalid.
    """
    rank = crop.base.shape[-1]
    inner = place.size[:, :, None] * crop.matrix
    corner = place.low + place.size * crop.centre - inner.sum(-1) / 2
    geometry = Geometry(
        product(place.rotation, inner), place.middle + (place.rotation * corner[:, None, :]).sum(-1), item
    )
    box = inner.square().sum(1).sqrt()
    unit = geometry.from_source(x[..., :rank])
    inside = ((unit >= 0) & (unit <= 1)).all(-1)
    inside = inside if valid is None else inside & valid
    params = dict(place.params)
    if rule.dropout:
        share = draws.uniform("dropout", 1, high=rule.dropout)
        inside &= draws.uniform("drop", x.shape[1]) >= share
        params["points.dropout"] = share
    coordinates = (unit - 0.5) * box[:, None]
    if rule.zoom:
        factor = draws.uniform("zoom", 1, low=ZOOM[0], high=ZOOM[1])
        coordinates, box = coordinates * factor[:, None], box * factor
        params["points.zoom"] = factor
    if rule.shift:
        moved, params["field-shift.std"] = point_shift(unit, draws.child("field-shift"), rule.shift, rule.gamma)
        coordinates = coordinates + moved * box[:, None]
    if rule.jitter:
        width = rule.jitter * box.amax(1, keepdim=True)
        noise = draws.normal("jitter", x.shape[1], rank).clamp(-2, 2)
        coordinates = coordinates + noise * width[:, None]
    chosen, kept = _subsample(inside, rule.count, draws)
    points = torch.cat([coordinates, x[..., rank:]], -1)
    points = points.gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))
    points = torch.where(kept[..., None], points, torch.zeros((), device=x.device))
    return points, kept, geometry, box, params


def bounds(points: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """`[B, S]` lower corner and size of the box around the valid points `[B, N, S]`."""
    if valid is None:
        low, high = points.amin(1), points.amax(1)
    else:
        mask, known = valid[..., None], valid.any(1)[:, None]
        low = torch.where(mask, points, torch.full_like(points, torch.inf)).amin(1)
        high = torch.where(mask, points, torch.full_like(points, -torch.inf)).amax(1)
        low, high = torch.where(known, low, 0.0), torch.where(known, high, 0.0)
    size = (high - low).clamp(min=1e-6) * _MARGIN
    return (low + high - size) / 2, size


def _turn(points: Tensor, rotation: Tensor) -> Tensor:
    """`rotation.T @ p` for `[B, N, S]` points."""
    return (points[..., None] * rotation[:, None]).sum(2)


def _subsample(inside: Tensor, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """`[B, count]` positions of points drawn at random among those inside, in file order, and whether each is one."""
    points = inside.shape[1]
    score = torch.where(inside, draws.uniform("subsample", points), torch.full((), -1.0, device=inside.device))
    if points < count:
        score = torch.nn.functional.pad(score, (0, count - points), value=-2.0)
    best = score.topk(count, dim=1, sorted=False)
    chosen, order = best.indices.sort(1)
    kept = best.values.gather(1, order) >= 0
    return chosen.clamp(max=points - 1), kept
