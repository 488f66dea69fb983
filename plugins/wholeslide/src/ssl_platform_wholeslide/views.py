"""The physics of stained sections as view operations: how much of each dye the tissue took up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn

# Absorption of red, green and blue by haematoxylin, eosin and DAB, unit vectors (Ruifrok and Johnston, 2001).
STAINS = ((0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776))
_WHITE = 255.0


def operations() -> tuple[Operation, ...]:
    """The view operations of slides."""
    return (StainJitter(),)


@dataclass(frozen=True)
class StainJitter(Operation):
    """Scales and shifts the amount of each stain (Tellez and others, 2018, arXiv:1808.05896).

    In optical density `-log(x / 255)`, light adds up by stain (Beer and Lambert), so an amount that changes by a factor
    and a shift is a product with a 3 x 3 matrix and a sum: one for each sample, over all its pixels at once. Pixels
    without stain stay white under the factor; the shift is small.

    Attributes:
        probability: that a sample is changed.
        scale: the factor of each stain is uniform in `1 +- scale * strength`.
        shift: the shift of each stain, in optical density, is uniform in `+-shift * strength`.
    """

    name: ClassVar[str] = "stain-jitter"
    probability: float = 0.8
    scale: float = 0.25
    shift: float = 0.02

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters: `factor [B, 3]` and `shift [B, 3]` of haematoxylin, eosin and the third stain."""
        if context.channels != ("red", "green", "blue"):
            return x, {}
        chosen = drawn(draws, self.probability)
        limit, most = min(0.9, self.scale * context.strength), self.shift * context.strength
        factor = where_drawn(chosen, draws.uniform("factor", 3, low=1 - limit, high=1 + limit), 1.0)
        shift = where_drawn(chosen, draws.uniform("shift", 3, low=-most, high=most), 0.0)
        stains, unmix = _matrices(x.device)
        density = ((x + 1.0) / (_WHITE + 1.0)).clamp(min=1e-3).log_().neg_().flatten(2)
        change = torch.einsum("sc,bs,ks->bck", stains, factor, unmix)  # colours to stains, scaled, and back
        moved = torch.baddbmm((shift @ stains)[:, :, None], change, density)
        changed = moved.neg_().exp_().mul_(_WHITE + 1.0).sub_(1.0).clamp_(0.0, _WHITE).view_as(x)
        return torch.where(context.spread(chosen), changed, x), {"factor": factor, "shift": shift}


@lru_cache(maxsize=8)
def _matrices(device: torch.device) -> tuple[Tensor, Tensor]:
    """Absorption `[stain, colour]`, and its inverse `[colour, stain]`."""
    stains = torch.tensor(STAINS, dtype=torch.float64)
    stains = stains / stains.norm(dim=1, keepdim=True)
    return stains.float().to(device), torch.linalg.inv(stains).float().to(device)
