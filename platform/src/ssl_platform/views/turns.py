"""How crops are turned: flips, quarter turns and rotations by any angle, drawn for a whole batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.constants import constant, flags, unit
from ssl_platform.views.crop_rule import CropRule
from ssl_platform.views.geometry import product

_EQUAL_SPACING = 1e-3


@dataclass(frozen=True)
class Turn:
    """Flips, quarter turns and rotation of a batch of crops.

    Attributes:
        sign: `[B, S]` 1 or -1 for each axis of the view.
        rotation: `[B, S, S]` in cells, or None.
        swaps: `(a, b, [B] bool)`, axes exchanged one after the other.
        params: what was drawn.
    """

    sign: Tensor
    rotation: Tensor | None
    swaps: tuple[tuple[int, int, Tensor], ...]
    params: dict[str, Tensor]


def draw_turn(rule: CropRule, draws: Draws, spacing: Tensor) -> Turn:
    """Flips, quarter turns and rotation of a rule.

    Args:
        rule: what may be drawn.
        draws: the view's stream.
        spacing: `[B, S]`.
    """
    sign = draw_flips(rule, draws)
    params: dict[str, Tensor] = {"crop.flip": sign < 0}
    sign, swaps, quarter = _quarters(rule, draws, sign, spacing)
    params |= quarter
    rotation = None
    if rule.planes:
        rotation, angle = free_rotation(rule, draws, spacing)
        params |= angle
    return Turn(sign, rotation, swaps, params)


def draw_flips(rule: CropRule, draws: Draws) -> Tensor:
    """`[B, S]` signs: -1 where an axis is flipped."""
    rank = len(rule.size)
    allowed = flags(tuple(a in rule.flips for a in range(rank)), draws.keys.device)
    return 1.0 - 2.0 * (draws.chance("flip", 0.5, rank) & allowed)


def _quarters(
    rule: CropRule, draws: Draws, sign: Tensor, spacing: Tensor
) -> tuple[Tensor, tuple[tuple[int, int, Tensor], ...], dict[str, Tensor]]:
    """Quarter turns as signs and axis swaps; half turns only where the spacings of a plane differ."""
    rank, device = len(rule.size), sign.device
    total = torch.eye(rank, device=device).expand(len(sign), -1, -1)
    swaps, turns = [], []
    for a, b in rule.quarters:
        turn = draws.integer(f"quarter/{a}{b}", 4)
        alike = (spacing[:, a] - spacing[:, b]).abs() < _EQUAL_SPACING * spacing[:, a]
        turn = torch.where(alike, turn, turn & 2)
        cosine = constant((1, 0, -1, 0), device)[turn]
        sine = constant((0, 1, 0, -1), device)[turn]
        total = product(total, _plane_rotation(cosine, sine, a, b, rank))
        swaps.append((a, b, (turn & 1).bool()))
        turns.append(turn)
    params = {"crop.quarter": torch.stack(turns, 1).float()} if turns else {}
    return sign * total.sum(-1), tuple(swaps), params


def free_rotation(rule: CropRule, draws: Draws, spacing: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """`[B, S, S]` rotation in cells: a turn in physical space by an angle in one of the planes."""
    limit = math.radians(rule.degrees)
    angle = draws.uniform("angle", low=-limit, high=limit)
    plane = draws.integer("plane", len(rule.planes))
    rank, total = len(rule.size), None
    for index, (a, b) in enumerate(rule.planes):
        turned = angle * (plane == index)
        matrix = _plane_rotation(torch.cos(turned), torch.sin(turned), a, b, rank)
        total = matrix if total is None else product(total, matrix)
    assert total is not None  # only called with planes
    params = {"crop.angle": angle[:, None], "crop.plane": plane[:, None].float()}
    return total * spacing[:, None, :] / spacing[:, :, None], params


def _plane_rotation(cosine: Tensor, sine: Tensor, a: int, b: int, rank: int) -> Tensor:
    """`[B, rank, rank]` rotations in the plane of axes a and b."""
    device = cosine.device
    both = unit(a, a, rank, device) + unit(b, b, rank, device)
    skew = unit(b, a, rank, device) - unit(a, b, rank, device)
    return torch.eye(rank, device=device) - both + cosine[:, None, None] * both + sine[:, None, None] * skew
