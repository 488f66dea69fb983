"""Colour changes of clips: one draw for all frames of a clip, as a camera's setting would be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn

Applied = tuple[Tensor, dict[str, Tensor]]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def operations() -> tuple[Operation, ...]:
    """The view operations of videos."""
    return Colour(), Grey()


@dataclass(frozen=True)
class Colour(Operation):
    """Turns the hue and scales the saturation, equally in all frames (the hue part of SimCLR's colour jitter).

    Brightness is kept: colours move in the plane of the two colour differences (the YIQ axes).

    Attributes:
        probability: that a sample is changed.
        hue: turns by up to `hue * strength` of a full circle.
        saturation: scaled by a factor in `1 +- saturation * strength`.
    """

    name: ClassVar[str] = "colour"
    probability: float = 0.8
    hue: float = 0.05
    saturation: float = 0.3

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `hue [B, 1]` in radians, `saturation [B, 1]` as factor."""
        if not _is_rgb(context):
            return x, {}
        chosen = drawn(draws, self.probability)
        turn, spread = 2 * math.pi * self.hue * context.strength, min(0.9, self.saturation * context.strength)
        hue = where_drawn(chosen, draws.uniform("hue", 1, low=-turn, high=turn), 0.0)
        factor = where_drawn(chosen, draws.uniform("saturation", 1, low=1 - spread, high=1 + spread), 1.0)
        to, back = _yiq(x.device)
        cosine, sine = (factor * hue.cos())[:, 0], (factor * hue.sin())[:, 0]
        zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
        rows = [(one, zero, zero), (zero, cosine, -sine), (zero, sine, cosine)]
        turned = torch.stack([torch.stack(row, -1) for row in rows], 1)
        matrix = back @ turned @ to
        return torch.bmm(matrix, x.flatten(2)).view_as(x), {"hue": hue, "saturation": factor}


@dataclass(frozen=True)
class Grey(Operation):
    """Takes the colour out of whole clips.

    Attributes:
        probability: that a sample loses its colours, at strength 1.
    """

    name: ClassVar[str] = "grey"
    probability: float = 0.2

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `grey [B, 1]`, 1 where the colours are gone."""
        if not _is_rgb(context):
            return x, {}
        grey = drawn(draws, min(1.0, self.probability * context.strength))
        luma = sum(weight * x[:, at : at + 1] for at, weight in enumerate(LUMA))
        return torch.where(context.spread(grey), luma, x), {"grey": grey.float()}


def _is_rgb(context: Context) -> bool:
    return context.channels == ("red", "green", "blue")


@lru_cache(maxsize=4)
def _yiq(device: torch.device) -> tuple[Tensor, Tensor]:
    """`[3, 3]` from RGB to YIQ (FCC NTSC, 1953) and back."""
    to = torch.tensor([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
    return to.to(device), torch.linalg.inv(to).to(device)
