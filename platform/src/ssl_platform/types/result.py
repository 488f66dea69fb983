"""What objectives, steps and protocols report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Loss:
    """What an objective returns.

    Attributes:
        total: scalar to differentiate: the rank's share, whose mean over ranks is the global-batch loss.
        terms: named scalars to log (detached by the trainer).
        watch: tensors the health monitor and `after_step` read: `embedding [B, D]`, `teacher_probs [B, K]`,
            `prediction`, `target`, or an objective's own.
    """

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    watch: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Where in a run an objective's hook is called.

    Attributes:
        step: optimiser steps done before this one.
        total: optimiser steps of the run.
        epoch_steps: optimiser steps of one pass over the data (at least 1).
        batch: samples of one optimiser step, over all ranks and micro-batches.
        lr: learning rate of the first group at this step.
    """

    step: int
    total: int
    epoch_steps: int = 1
    batch: int = 1
    lr: float = 0.0

    @property
    def progress(self) -> float:
        """Fraction of the run done, in `[0, 1]`."""
        return min(1.0, self.step / max(1, self.total))


@dataclass(frozen=True)
class Metric:
    """One number with its uncertainty.

    Attributes:
        value: the estimate.
        ci95: lower and upper bound, or None.
        ci_over: what was resampled or repeated: `groups`, `evaluation seeds`, `pretraining seeds`.
    """

    value: float
    ci95: tuple[float, float] | None = None
    ci_over: str | None = None


@dataclass
class Result:
    """What a protocol returns.

    Attributes:
        metrics: `{name: Metric}`; names read `protocol/metric`, e.g. `knn/accuracy`.
        predictions: per-item predictions for reports, or None.
        details: further facts (chosen k, layers, classes).
    """

    metrics: dict[str, Metric]
    predictions: Any = None
    details: dict[str, Any] = field(default_factory=dict)
