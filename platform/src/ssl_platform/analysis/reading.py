"""What an analysis answers: numbers, each with where it was taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ssl_platform.types import Metric

Kind = Literal["output", "layer", "transformation", "move", "corruption", "pair"]


@dataclass(frozen=True)
class Reading:
    """One number.

    Attributes:
        measure: its name, in words of letters and underscores.
        kind: what `at` names: the encoder's `output`, a `layer`, a `transformation` of views, an exact `move` of the
            grid, a `corruption` that a probe is tested on, or layers of a `pair` of encoders.
        at: where it was taken, such as `block 3` or `noise x2`.
        value: None where it is not defined.
        ci95: lower and upper bound over groups, or None.
        parts: further numbers behind it, such as one a head.
    """

    measure: str
    kind: Kind
    at: str
    value: float | None
    ci95: tuple[float, float] | None = None
    parts: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @staticmethod
    def of(measure: str, kind: Kind, at: str, value: float | Metric, **parts: Sequence[Any]) -> Reading:
        """A reading of a number or a metric; what is not finite is not defined."""
        metric = value if isinstance(value, Metric) else Metric(float(value))
        known = metric.value if math.isfinite(metric.value) else None
        return Reading(measure, kind, at, known, metric.ci95 if known is not None else None, parts)

    @property
    def key(self) -> tuple[str, str, str]:
        """What readings of two encoders are compared by."""
        return self.kind, self.at, self.measure
