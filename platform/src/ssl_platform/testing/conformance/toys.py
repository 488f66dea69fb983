"""Kinds of data made of formulas, on which objectives are held to their promises."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.plugins import DomainDeclaration
from ssl_platform.testing.conformance.subject import BATCH
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, Layout

SIZE = 16
BACKBONE = "vit-pico"


@dataclass(frozen=True)
class Toy:
    """A kind of data made of formulas.

    Attributes:
        name: of the toy.
        rank: spatial rank.
        points: whether items are point sets.
    """

    name: str
    rank: int
    points: bool = False

    @property
    def layout(self) -> Layout:
        """Two channels, or points with one feature."""
        return toy_layout(3 if self.points else self.rank, 2, points=self.points)

    @property
    def declaration(self) -> DomainDeclaration:
        """What a plugin would say of it."""
        layout = self.layout
        return DomainDeclaration(
            name=self.name,
            factory="ssl_platform.testing.toy:toy_batch",
            axes=layout.axes,
            relations=layout.relations,
            symmetries=tuple(sorted(layout.symmetries)),
        )

    @property
    def window(self) -> tuple[int, ...]:
        """Cells along each axis, or points."""
        return (4 * SIZE,) if self.points else (SIZE,) * self.rank

    @property
    def views(self) -> ViewsConfig:
        """Sizes of views."""
        return ViewsConfig(local_size=[2 * SIZE] if self.points else SIZE // 2)

    def batch(self, number: int = 0, reads: int = 1) -> Batch:
        """The batch of a step; the set has four batches."""
        made = toy_batch(
            BATCH, self.rank, SIZE, 2, points=self.points, reads=reads, start=number * BATCH, items=4 * BATCH
        )
        if self.points:  # half of the sets lack their feature
            for read in made.reads:
                read["main"].channel_valid = torch.arange(BATCH)[:, None] % 2 + torch.tensor([1, 1, 1, 0]) > 0
        return made

    def backbone(self) -> Backbone:
        """A ViT of two blocks."""
        layout = self.layout
        patch = (8,) if self.points else (4 if self.rank > 1 else 2,) * self.rank
        return build(BACKBONE, layout, tuple(c.name for c in layout.channels), self.window, patch, depth=2)


TOYS = (Toy("toy-signals", 1), Toy("toy-images", 2), Toy("toy-volumes", 3), Toy("toy-points", 3, points=True))
