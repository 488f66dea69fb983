"""Where views are cut: boxes, flips, quarter turns and rotations, drawn for a whole batch.

A crop is `p = centre + rotation @ diag(base) @ turn @ (u - 1/2)` in cells of the window, for `u` in `[0, 1]^S`: the
signs of `base` are flips, `turn` swaps axes (quarter turns), `rotation` turns by any angle in physical space. Crops lie
inside the window, rotated ones too: what does not fit is shrunk, so no view has cells from beyond what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry
from ssl_platform.views.constants import constant, exchange, flags
from ssl_platform.views.crop_rule import CropRule, Plane
from ssl_platform.views.geometry import overlap, product
from ssl_platform.views.turns import Turn, draw_flips, draw_turn

_CANDIDATES = 32  # boxes tried for a least overlap before the first view's own box is taken
_SAMPLING_ERROR = 0.04  # of the overlap of boxes turned to each other
_TURNED = ("crop.quarter", "crop.angle", "crop.plane")  # a view inside another is turned as it is


@dataclass
class Crop:
    """Crops of a batch.

    Attributes:
        centre: `[B, S]` in cells of the window, 0 at the first cell's outer edge.
        base: `[B, S]` signed extent in cells along each window axis.
        rotation: `[B, S, S]` in cells, or None.
        swaps: `(a, b, [B] bool)`, axes exchanged one after the other.
        planes: planes the rotation may lie in.
        size: cells of the view it was drawn for.
        exact: whether every view cell is a whole cell of the window.
        params: what was drawn.
    """

    centre: Tensor
    base: Tensor
    rotation: Tensor | None
    swaps: tuple[tuple[int, int, Tensor], ...]
    planes: tuple[Plane, ...]
    size: tuple[int, ...]
    exact: bool
    params: dict[str, Tensor] = field(default_factory=dict)

    @property
    def matrix(self) -> Tensor:
        """`[B, S, S]` from `u - 1/2` to cells of the window."""
        matrix = torch.diag_embed(self.base)
        for a, b, swapped in self.swaps:
            order = exchange(a, b, matrix.shape[-1], matrix.device)
            matrix = torch.where(swapped[:, None, None], matrix.index_select(2, order), matrix)
        return matrix if self.rotation is None else product(self.rotation, matrix)

    def geometry(self, spacing: Tensor, origin: Tensor, item: Tensor) -> Geometry:
        """In physical source coordinates: `spacing`, `origin` `[B, S]`, `item` `[B]`."""
        matrix = spacing[:, :, None] * self.matrix
        return Geometry(matrix, origin + spacing * self.centre - matrix.sum(-1) / 2, item)

    def rows(self, own: slice) -> Crop:
        """The crops of some of the samples, without parameters."""
        return replace(
            self,
            centre=self.centre[own],
            base=self.base[own],
            rotation=None if self.rotation is None else self.rotation[own],
            swaps=tuple((a, b, swapped[own]) for a, b, swapped in self.swaps),
            params={},
        )

    def scaled_to(self, ratio: tuple[float, ...]) -> Crop:
        """The same place in a window with `ratio` times as many cells along each axis."""
        if all(r == 1 for r in ratio):
            return self
        factor = constant(ratio, self.base.device)
        rotation = self.rotation
        if rotation is not None:
            rotation = rotation * factor[:, None] / factor
        return replace(self, centre=self.centre * factor, base=self.base * factor, rotation=rotation, exact=False)


def draw(rule: CropRule, draws: Draws, window: Sequence[int], reference: Sequence[int], spacing: Tensor) -> Crop:
    """A crop of each sample.

    Args:
        rule: what may be drawn.
        draws: the view's stream.
        window: cells read along each axis.
        reference: the window scales refer to (without rotation margin).
        spacing: `[B, S]`.
    """
    turn = draw_turn(rule, draws, spacing)
    centre, extent = _boxes(rule, draws, 1, window, reference, turn.rotation)
    return _crop(rule, turn, centre[:, 0], extent[:, 0], window)


def draw_overlapping(
    rule: CropRule,
    draws: Draws,
    first: Crop,
    least: float,
    window: Sequence[int],
    reference: Sequence[int],
    spacing: Tensor,
) -> Crop:
    """A crop of which at least the fraction `least` lies in `first`.

    Rejection from the free distribution: the first of 32 candidates that overlaps enough; `first`'s own box where
    none does.
    """
    turn = draw_turn(rule, draws, spacing)
    centre, extent = _boxes(rule, draws, _CANDIDATES, window, reference, turn.rotation)
    covered = _covered(centre, extent, turn.rotation, first)
    if turn.rotation is not None or first.rotation is not None:
        least = min(1.0, least + _SAMPLING_ERROR)
    order = constant(tuple(range(_CANDIDATES, 0, -1)), covered.device)
    best = ((covered >= least) * order).argmax(1)[:, None, None].expand(-1, 1, centre.shape[-1])
    found = (covered >= least).any(1)[:, None]
    chosen = torch.where(found, centre.gather(1, best)[:, 0], first.centre)
    box = torch.where(found, extent.gather(1, best)[:, 0], first.base.abs())
    if turn.rotation is not None and first.rotation is not None:
        turn = replace(turn, rotation=torch.where(found[:, :, None], turn.rotation, first.rotation))
    return _crop(rule, turn, chosen, box, window)


def draw_inside(rule: CropRule, draws: Draws, parent: Crop, window: Sequence[int]) -> Crop:
    """A crop of the parent view: it lies inside it, turned as it is, with flips of its own.

    The scale is a fraction of the parent's volume. Axes that may not be scaled keep their cells and start on whole
    cells of the parent.
    """
    device = parent.base.device
    sign, scaled = draw_flips(rule, draws), flags(rule.scaled, device)
    count = max(1, sum(rule.scaled))
    side = draws.uniform("scale", 1, low=rule.scale[0], high=rule.scale[1]) ** (1 / count)
    held = constant(rule.size, device) / constant(parent.size, device)
    part = torch.where(scaled, side, held.clamp(max=1))
    place = draws.uniform("place", len(rule.size))
    slack = constant(parent.size, device) * (1 - part)  # in cells of the parent view
    start = torch.where(scaled, place * slack, torch.floor(place * (slack + 1)).minimum(slack.round()))
    middle = start / constant(parent.size, device) + part / 2 - 0.5
    centre = parent.centre + (parent.matrix * middle[:, None, :]).sum(-1)
    factor = part * sign
    for a, b, swapped in reversed(parent.swaps):
        order = exchange(a, b, len(rule.size), device)
        factor = torch.where(swapped[:, None], factor.index_select(1, order), factor)
    base = parent.base * factor
    whole = not any(rule.scaled) and all(n <= m for n, m in zip(rule.size, parent.size, strict=True))
    crop = replace(parent, centre=centre, base=base, size=rule.size, exact=parent.exact and whole)
    turned = {name: value for name, value in parent.params.items() if name in _TURNED}
    return replace(crop, params=_params(crop, turned | {"crop.flip": sign < 0}, window))


def _boxes(
    rule: CropRule,
    draws: Draws,
    count: int,
    window: Sequence[int],
    reference: Sequence[int],
    rotation: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`[B, count, S]` centres and extents of boxes that lie in the window, rotated as they are."""
    device, rank = draws.keys.device, len(rule.size)
    cells, size = constant(tuple(window), device), constant(rule.size, device)
    if rule.centred:
        start = torch.floor((cells - size) / 2)
        shape = (len(draws), count, rank)
        return (start + size / 2).expand(shape), size.expand(shape)
    scaled = flags(rule.scaled, device)
    side = draws.uniform("scale", count, 1, low=rule.scale[0], high=rule.scale[1]) ** (1 / max(1, sum(rule.scaled)))
    extent = torch.where(scaled, constant(tuple(reference), device) * side, size)
    half, whole = extent / 2, ~scaled
    if rotation is not None:
        half = (rotation.abs()[:, None] * half[:, :, None, :]).sum(-1)
        shrink = (cells / (2 * half)).amin(-1, keepdim=True).clamp(max=1)
        extent, half, whole = extent * shrink, half * shrink, torch.zeros_like(scaled)
    slack = cells - 2 * half
    place = draws.uniform("place", count, rank)
    free = place * slack.clamp(min=0)
    stepped = torch.floor(place * (slack.clamp(min=0) + 1)).minimum(slack.clamp(min=0))
    start = torch.where(slack < -0.5, torch.floor(slack / 2), torch.where(whole, stepped, free))
    return start + half, extent


def _covered(centre: Tensor, extent: Tensor, rotation: Tensor | None, first: Crop) -> Tensor:
    """`[B, K]` fraction of each of K boxes `[B, K, S]` that lies in `first`."""
    rows, count, rank = centre.shape
    matrix = torch.diag_embed(extent.flatten(0, 1))
    if rotation is not None:
        matrix = product(rotation.repeat_interleave(count, 0), matrix)
    same = torch.zeros(rows * count, dtype=torch.int64, device=centre.device)
    box = Geometry(matrix, centre.flatten(0, 1) - matrix.sum(-1) / 2, same)
    target = first.matrix
    corner = first.centre - target.sum(-1) / 2
    other = Geometry(target.repeat_interleave(count, 0), corner.repeat_interleave(count, 0), same)
    oblique = rotation is not None or first.rotation is not None
    samples = (8 if rank == 3 else 16) if oblique else 0
    return overlap(box, other, samples=samples).view(rows, count)


def _crop(rule: CropRule, turn: Turn, centre: Tensor, extent: Tensor, window: Sequence[int]) -> Crop:
    crop = Crop(centre, extent * turn.sign, turn.rotation, turn.swaps, rule.planes, rule.size, rule.exact)
    return replace(crop, params=_params(crop, turn.params, window))


def _params(crop: Crop, drawn: dict[str, Tensor], window: Sequence[int]) -> dict[str, Tensor]:
    """Everything drawn, with centre and extent as fractions of the window."""
    cells = constant(tuple(window), crop.base.device)
    return {"crop.centre": crop.centre / cells, "crop.extent": crop.base.abs() / cells} | {
        name: value.float() for name, value in drawn.items()
    }
