"""All intensity changes of a view: the domain's physics first, then smooth fields, then the generic operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.types import Layout
from ssl_platform.views.fields import FIELDS, fields
from ssl_platform.views.intensity import GENERIC, Blur, generic
from ssl_platform.views.operation import Context, Operation
from ssl_platform.views.symmetry import GEOMETRIC, allows


@dataclass(frozen=True)
class Photometry:
    """The intensity operations of a run.

    Attributes:
        layout: of the domain.
        physics: the domain's operations.
        smooth: random fields. They leave the range of values, by which generic operations go: hence before those, and
            with statistics of their own.
        generic: the generic ones the layout allows.
        blur: done while resampling, or None.
        strength: multiplier of all strengths; only operations that are `always` applied run at zero.
    """

    layout: Layout
    physics: tuple[Operation, ...] = ()
    smooth: tuple[Operation, ...] = ()
    generic: tuple[Operation, ...] = ()
    blur: Blur | None = None
    strength: float = 1.0

    @classmethod
    def of(cls, layout: Layout, config: ViewsConfig, operations: Sequence[Operation]) -> Photometry:
        """The operations that remain after `views.off` and the domain's replacements.

        Raises:
            ConfigError: `views.off` names no known operation.
        """
        replaced = {o.name for o in operations}
        known = {*GEOMETRIC, Blur.name, *(o.name for o in GENERIC), *FIELDS, *replaced}
        for name in config.off:
            if name not in known:
                raise ConfigError(f"views.off names the unknown operation {name!r}{did_you_mean(name, known)}")
        off = set(config.off)
        smooth = fields(layout, config.fields, config.fields_gamma)
        blurred = allows(layout, Blur.name) and not layout.points and Blur.name not in off | replaced
        return cls(
            layout=layout,
            physics=tuple(o for o in operations if o.name not in off),
            smooth=tuple(o for o in smooth if o.name not in off | replaced),
            generic=tuple(o for o in generic(layout) if o.name not in off | replaced),
            blur=Blur() if blurred else None,
            strength=config.strength,
        )

    def without(self, names: Sequence[str]) -> Photometry:
        """The same without some operations, of which those that are `always` applied stay."""
        if not names:
            return self
        return replace(
            self,
            physics=tuple(o for o in self.physics if o.always or o.name not in names),
            smooth=tuple(o for o in self.smooth if o.always or o.name not in names),
            generic=tuple(o for o in self.generic if o.always or o.name not in names),
            blur=None if Blur.name in names else self.blur,
        )

    def sigma(self, spacing: Tensor, draws: Draws) -> Tensor | None:
        """`[B, S]` blur in cells of the view, or None where there is none."""
        if self.blur is None or self.strength == 0:
            return None
        return self.blur.sigma(self.layout, spacing, self.strength, draws.child(self.blur.name))

    def apply(
        self,
        x: Tensor,
        valid: Tensor | None,
        channel_valid: Tensor | None,
        channels: tuple[str, ...],
        spacing: Tensor,
        meta: dict[str, Tensor],
        draws: Draws,
        augment: bool = True,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Change values, and say what was drawn.

        Args:
            x: `[B, C, *size]` float32, or `[B, N, C]` features of point sets.
            valid: `[B, *size]` (or `[B, N]`) bool, or None; invalid cells keep their values.
            channel_valid: `[B, C]` bool, or None; absent channels keep their values.
            channels: names, length C.
            spacing: `[B, S]` physical size of a view cell.
            meta: `{name: [B]}`.
            draws: the views' stream for intensity.
            augment: False for views without intensity changes.

        Returns:
            The new values, and `{operation.parameter: [B, k]}`.
        """
        params: dict[str, Tensor] = {}
        strength = self.strength if augment else 0.0
        stages = [
            tuple(o for o in stage if strength > 0 or o.always) for stage in (self.physics, self.smooth, self.generic)
        ]
        before = x
        for stage in stages:
            context = Context(self.layout, x, valid, channel_valid, spacing, channels, strength, meta)
            for operation in stage:
                x, drawn = operation.apply(x, context, draws.child(operation.name))
                params |= {f"{operation.name}.{name}": value for name, value in drawn.items()}
        if x is before:
            return x, params
        if valid is not None:
            x = torch.where(valid[..., None] if self.layout.points else valid[:, None], x, before)
        if channel_valid is not None:
            x = torch.where(context.spread(channel_valid), x, before)
        return x, params
