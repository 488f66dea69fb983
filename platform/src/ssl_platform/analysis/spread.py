"""How much of its space an encoder uses: effective rank, RankMe, uniformity; by layer and for its output."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_platform.analysis.layers import OUTPUT, LayerOutput
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.analysis.transformed import redrawn
from ssl_platform.measures import alignment, effective_rank, uniformity
from ssl_platform.plan import Plan
from ssl_platform.views.maker import ViewMaker


class Spread:
    """Effective rank (centred) of every layer; RankMe (Garrido et al., 2023; not centred) and uniformity of the output.

    Args:
        subject: of the pass.
    """

    def __init__(self, subject: Subject) -> None:
        self._pooled: dict[str, list[Tensor]] = {}

    def add(self, rows: np.ndarray, layers: dict[str, LayerOutput]) -> None:
        """Keep `[B, D]` of every layer."""
        for name, layer in layers.items():
            self._pooled.setdefault(name, []).append(layer.pooled.cpu())

    def readings(self) -> list[Reading]:
        """One rank a layer, and those of the output."""
        found = []
        for name, parts in self._pooled.items():
            z = torch.cat(parts)
            rank = float(effective_rank(z, centre=True))
            found.append(Reading.of("effective_rank", "layer", name, rank))
            if name == OUTPUT:
                found += [
                    Reading.of("effective_rank", "output", name, rank),
                    Reading.of("dimensions", "output", name, z.shape[1]),
                    Reading.of("rankme", "output", name, float(effective_rank(z))),
                    Reading.of("uniformity", "output", name, float(uniformity(z)) if len(z) > 1 else float("nan")),
                ]
        return found


def align(subject: Subject) -> list[Reading]:
    """Alignment (Wang, Isola, 2020): mean squared distance of two views of an item as the domain augments it."""
    opened, encoder = subject.opened, subject.encoder
    maker = ViewMaker(
        opened.data.domain.layout,
        Plan.augmented(1),
        opened.config.views,
        tuple(opened.data.domain.views()),
        opened.config.seed,
        window=opened.window,
    )
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for batch in subject.batches(subject.transformed_rows(), "augmented views"):
        for number, side in enumerate(sides):
            side.append(encoder(maker(redrawn(batch, number))[0]).pooled.cpu())
    first, second = (torch.cat(side) for side in sides)
    return [Reading.of("alignment", "output", OUTPUT, float(alignment(first, second)))]
