"""Views with one change only: an intensity operation of the domain or the platform, a scale, a rotation.

What there is comes from the domain: its own operations and what its layout names as symmetries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.transfer.opening import Opened
from ssl_platform.types import Batch, Layout, PartBatch, View
from ssl_platform.views.fields import FIELDS
from ssl_platform.views.intensity import GENERIC, Blur, generic
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context, Operation
from ssl_platform.views.symmetry import GEOMETRIC, allows, axes, planes

SCALE, ROTATE, POINTS = "scale", "rotate", "points"
COVERED = 0.5  # of the window's volume that a crop at strength 1 covers; its power at others
DEGREES = 30.0  # largest rotation at strength 1
_OF_POINTS = ("noise", "cutout")  # which shift and drop points themselves
_ROLE = "changed"


def transformations(opened: Opened) -> tuple[str, ...]:
    """Names of the changes that fit the data: the domain's operations, then the layout's symmetries."""
    layout, own = opened.data.domain.layout, tuple(opened.data.domain.views())
    first = opened.data.catalog.row(0)
    featureless = layout.points and len(first.channels) <= layout.rank
    found = [] if featureless else [o.name for o in own] + [o.name for o in generic(layout)]
    if allows(layout, Blur.name) and not layout.points:
        found.append(Blur.name)
    if layout.points:
        found += [POINTS, *(name for name in _OF_POINTS if allows(layout, name))]
    if axes(layout, SCALE):
        found.append(SCALE)
    if planes(layout, ROTATE):
        found.append(ROTATE)
    return tuple(dict.fromkeys(found))


def effective(opened: Opened, names: Sequence[str], batch: Batch) -> tuple[str, ...]:
    """Those that change any value of a batch: a speckle of radar bands does nothing to other bands."""
    clean = opened.maker.clean(batch)
    return tuple(name for name in names if _differs(clean, Transformed(opened, name).clean(redrawn(batch, 0))))


def _differs(a: View, b: View) -> bool:
    return any(
        (one is None) != (other is None) or (one is not None and other is not None and not torch.equal(one, other))
        for one, other in ((a.x, b.x), (a.valid, b.valid), (a.channel_valid, b.channel_valid))
    )


class Transformed(ViewMaker):
    """A maker whose clean views carry one change, drawn for every sample.

    Intensities change at the place of the clean view. Scaled and turned views lie within the window that is read, and
    turned ones are shrunk to do so. Where a point set has more points than a view, each view draws its own.

    Args:
        opened: data, views and seed.
        name: of `transformations`.
        strength: multiplier of the operation's own strength; crops cover `COVERED ** strength` of the window's volume,
            rotations reach `DEGREES * strength`.
    """

    def __init__(self, opened: Opened, name: str, strength: float = 1.0) -> None:
        layout, own = opened.data.domain.layout, tuple(opened.data.domain.views())
        operations: list[Operation] = [
            Sure(o) if o.name == name else Still(o) if o.always else o for o in (*own, *_generic(layout, own, name))
        ]
        kept = {name, *(o.name for o in own if o.always)}
        known = {*GEOMETRIC, Blur.name, *FIELDS, *(o.name for o in GENERIC), *(o.name for o in own)}
        super().__init__(
            layout,
            Plan((ViewSpec("clean", clean=True), _spec(name, strength, layout))),
            ViewsConfig(
                global_size=list(opened.maker.clean_size),
                strength=strength,
                rotate=min(180.0, DEGREES * strength) if name == ROTATE else 0.0,
                zoom=True,
                off=sorted(known - kept),
            ),
            operations,
            opened.config.seed,
            window=opened.window,
        )
        if name == Blur.name and self.photometry.blur is not None:
            self.photometry = replace(self.photometry, blur=Blur(probability=1.0))

    def clean(self, batch: Batch, part: str = "main", size: Sequence[int] | None = None) -> View:
        """The changed view; drawn by `Batch.position`."""
        return self(batch)[_ROLE][0]


def redrawn(batch: Batch, number: int) -> Batch:
    """The batch at positions no run reaches, others for every number: views of it are drawn anew, always alike."""
    return replace(batch, position=batch.index + (number + 1) * (1 << 40))


def _spec(name: str, strength: float, layout: Layout) -> ViewSpec:
    if name == SCALE:
        share = COVERED**strength
        return ViewSpec(_ROLE, scale=(share, share), photometric=False, flips=layout.points)
    if name == ROTATE:
        return ViewSpec(_ROLE, photometric=False)
    return ViewSpec(_ROLE, like="clean", photometric=name != POINTS, flips=False)


def _generic(layout: Layout, own: Sequence[Operation], name: str) -> tuple[Operation, ...]:
    """The generic operation of that name, where the domain does not replace it."""
    return tuple(o for o in generic(layout) if o.name == name and name not in {d.name for d in own})


class SureDraws(Draws):
    """Draws by which every operation applies to every sample."""

    def child(self, name: str) -> Draws:
        """An independent stream of the same kind."""
        return SureDraws(super().child(name).keys)

    def chance(self, name: str, probability: float | Tensor, *shape: int) -> Tensor:
        """True where it is asked whether to apply, else as drawn."""
        if name == "apply":
            return torch.ones(len(self), *shape, dtype=torch.bool, device=self.keys.device)
        return super().chance(name, probability, *shape)


@dataclass(frozen=True)
class _Wrapped(Operation):
    """An operation applied in another way.

    Attributes:
        inner: the operation.
    """

    inner: Operation

    @property
    def name(self) -> str:  # type: ignore[override]
        """The inner one's."""
        return self.inner.name

    def front_end(self, part: PartBatch) -> PartBatch:
        """The inner one's."""
        return self.inner.front_end(part)


class Sure(_Wrapped):
    """An operation that applies to every sample."""

    @property
    def always(self) -> bool:  # type: ignore[override]
        """The inner one's: a display window is part of clean views too."""
        return self.inner.always

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """As the inner one, without its probability."""
        return self.inner.apply(x, context, SureDraws(draws.keys))


class Still(_Wrapped):
    """An operation that every view needs, without any jitter."""

    always = True

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """As the inner one at strength 0; its parameters are no change."""
        return self.inner.apply(x, replace(context, strength=0.0), draws)[0], {}
