"""Is it learning? A verdict from a few label-free numbers, each beside that of the same network before training.

A collapsed run looks like training: its loss falls. What gives it away depends on how the objective can cheat:

    constant      every input gets one embedding: the spread across inputs is lost
    dimensional   embeddings lie in a few directions: the effective rank is lost
    one output    the teacher always names the same prototype (no centring)
    uniform       the teacher never decides (no sharpening)
    trivial       the loss stays where a model that ignores its input would have it

Spread and rank of an untrained network on the same items are the yardstick, since they depend on the architecture and
the data far more than on health. The constants below were fixed on controls that must collapse (one a family, in
tests/unit/train/test_health_controls.py), never on runs meant to pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

VerdictName = Literal["healthy", "stalling", "collapsed", "undetermined"]

FIRST_STEPS = 200
"""No verdict before this many steps, unless `FIRST_SECONDS` have passed."""
FIRST_SECONDS = 180.0
SPREAD_LOST = 0.12
"""Collapsed when the spread fell below this fraction of the untrained network's: i-jepa whose target is the student
itself ends at 0.08, the healthy one stays above 0.2 while its features sharpen."""
RANK_LOST, TOO_EASY = 0.5, 0.05
"""Collapsed when the centred effective rank fell below this fraction of the untrained network's while the loss is under
that fraction of its trivial value, for families that compare whole embeddings: simclr without negatives, vicreg without
variance and covariance and byol without stop-gradient end at 0.33 to 0.45 of the rank and at most 0.014 of the loss. A
loss that still has something to do, 0.15 and more in healthy runs, tells samples apart in fewer directions."""
RANK_LOST_TOKENS = 0.2
"""The same for families that predict tokens, whose pooled embedding rightly gathers in few strong directions (healthy
mae goes through 0.45), and for those with a teacher's distributions, whose own signs come first: healthy dino$
on volumes goes through 0.33 while its kNN rises."""
AGREED_RANK, AGREED_LOSS = 0.75, 0.002
"""Collapsed when views agree perfectly (loss under this fraction of its trivial value) while rank is lost: a slower
form of the same controls; healthy simclr agrees as well but gains rank."""
FIRST_LOSSES = 8  # steps whose mean is the loss at the start
ONE_OUTPUT = 0.3
"""Collapsed when the teacher's mean distribution has less than this fraction of the largest entropy: an uncentred
teacher falls from 0.15 to 0, unbalanced assignments stay at 0.25 to 0.27, balanced and centred ones above 0.44."""
UNIFORM = 0.995
"""Collapsed when each of the teacher's distributions has more than this fraction of the largest entropy."""
TRIVIAL = 0.02
"""The loss must fall below its trivial value by this fraction of it."""
STALLED = 0.005
"""Stalling when the loss of the last third fell by less than this fraction against the third before, while it is within
`NEAR_TRIVIAL` of its trivial value."""
NEAR_TRIVIAL = 0.1
KNN_MARGIN = 0.0
"""Stalling when kNN is below the untrained network's by more than this (labels exist), late in the run."""


@dataclass(frozen=True)
class Look:
    """Measurements at one moment, all on the same items.

    Attributes:
        step: steps done.
        seconds: of training so far.
        effective_rank: of the centred embeddings, in `[1, min(n, D)]`.
        spread: root mean square distance of unit embeddings from their mean; 1 when isotropic, 0 when constant.
        alignment: mean squared distance of two views of an item, or None.
        uniformity: log mean Gaussian potential; 0 when constant.
        teacher_entropy: mean entropy of the teacher's distributions over `ln K`, or None.
        teacher_usage: entropy of their mean over `ln min(B, K)`, at most 1, or None.
        loss: recent mean, or None before the first step.
        loss_before: mean of an equally long stretch before that, or None.
        loss_first: mean of the first steps, or None.
        knn: score of full-bank kNN on clean views, or None without labels.
    """

    step: int
    seconds: float
    effective_rank: float
    spread: float
    alignment: float | None = None
    uniformity: float | None = None
    teacher_entropy: float | None = None
    teacher_usage: float | None = None
    loss: float | None = None
    loss_before: float | None = None
    loss_first: float | None = None
    knn: float | None = None

    def as_row(self) -> dict[str, float]:
        """Columns for metrics.csv."""
        names = ("effective_rank", "spread", "alignment", "uniformity", "teacher_entropy", "teacher_usage", "knn")
        values = {name: getattr(self, name) for name in names}
        return {f"health/{name}": value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Verdict:
    """What the numbers say.

    Attributes:
        verdict: one word.
        cause: one line: the likely cause, or what speaks for health.
    """

    verdict: VerdictName
    cause: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.cause}"


def judge(look: Look, untrained: Look, *, trivial: float | None, family: str = "", total: int = 0) -> Verdict:
    """The verdict at one look.

    Args:
        look: now.
        untrained: the same network before its first step.
        trivial: loss of a model that has learnt nothing, or None.
        family: the objective's family, which decides the likely cause.
        total: steps of the whole run, to tell early from late.
    """
    if look.step < FIRST_STEPS and look.seconds < FIRST_SECONDS:
        return Verdict("undetermined", f"too early: {look.step} of {FIRST_STEPS} steps")
    if family == "masked" and trivial is not None and look.loss_first is not None:
        # Decoders start from the mean content, whose loss on this data the first steps have measured.
        trivial = min(trivial, look.loss_first)
    return (
        _collapsed_output(look)
        or _collapsed_embedding(look, untrained, trivial, family)
        or _at_trivial(look, trivial, total)
        or _stalling(look, untrained, trivial, total)
        or Verdict("healthy", _good_signs(look, untrained, trivial))
    )


def _collapsed_output(look: Look) -> Verdict | None:
    if look.teacher_usage is not None and look.teacher_usage < ONE_OUTPUT:
        return Verdict(
            "collapsed",
            f"the teacher gives one output to everything (usage {look.teacher_usage:.3f}): centring is missing "
            "or too slow, or assignments are not balanced",
        )
    if look.teacher_entropy is not None and look.teacher_entropy > UNIFORM:
        return Verdict(
            "collapsed",
            f"the teacher never decides (entropy {look.teacher_entropy:.4f} of ln K): its temperature is too high or "
            "its outputs became constant",
        )
    return None


TOKEN_FAMILIES = ("masked", "predictive", "generative")
_CAUSES = {
    "distillation": "stop-gradient, predictor or teacher momentum is missing, or the learning rate is too high",
    "decorrelation": "the variance or covariance term is missing or too weak",
    "contrastive": "too few or false negatives, or the temperature is too high",
    "clustering": "assignments are not balanced, or prototypes died",
    "predictive": "the target is not held by a slow teacher, or the learning rate is too high",
    "masked": "the decoder alone solves the task, or the learning rate is too high",
}


def _collapsed_embedding(look: Look, untrained: Look, trivial: float | None, family: str) -> Verdict | None:
    likely = _CAUSES.get(family, "the objective lets a constant output win, or the learning rate is too high")
    if not math.isfinite(look.spread) or look.spread < SPREAD_LOST * untrained.spread:
        return Verdict(
            "collapsed",
            f"all inputs get nearly one embedding (spread {look.spread:.2g}, untrained {untrained.spread:.2g}): "
            f"{likely}",
        )
    kept = look.effective_rank / max(untrained.effective_rank, 1e-6)
    gathers = family in TOKEN_FAMILIES or look.teacher_entropy is not None
    agreed = not gathers and trivial is not None and look.loss is not None and look.loss < AGREED_LOSS * trivial
    easy = not trivial or look.loss is None or look.loss < TOO_EASY * trivial
    least = RANK_LOST if easy and not gathers else RANK_LOST_TOKENS
    if kept < least or (agreed and kept < AGREED_RANK):
        return Verdict(
            "collapsed",
            f"embeddings use few directions (effective rank {look.effective_rank:.1f}, untrained "
            f"{untrained.effective_rank:.1f}): {likely}",
        )
    return None


def _at_trivial(look: Look, trivial: float | None, total: int) -> Verdict | None:
    if not trivial or look.loss is None or look.loss < trivial * (1 - TRIVIAL):
        return None
    flat = look.loss_before is not None and look.loss_before - look.loss < STALLED * abs(look.loss_before)
    # Masked prediction often stands still before it finds the neighbours: early on that is no verdict.
    if flat and look.step > total / 2:
        return Verdict(
            "collapsed",
            f"the loss ({look.loss:.4g}) stays at what ignoring the input gives ({trivial:.4g}): learning rate zero, "
            "far too high or too low, or input without content",
        )
    return Verdict("stalling", f"the loss ({look.loss:.4g}) is not yet below its trivial value ({trivial:.4g})")


def _stalling(look: Look, untrained: Look, trivial: float | None, total: int) -> Verdict | None:
    late = total > 0 and look.step > total / 2
    if trivial and look.loss is not None and look.loss_before is not None:
        near = look.loss > trivial * (1 - NEAR_TRIVIAL)
        if near and look.loss_before - look.loss < STALLED * abs(look.loss_before):
            return Verdict(
                "stalling", f"the loss ({look.loss:.4g}) stopped falling near its trivial value ({trivial:.4g})"
            )
    if late and look.knn is not None and untrained.knn is not None and look.knn < untrained.knn - KNN_MARGIN:
        return Verdict("stalling", f"kNN ({look.knn:.3f}) is below that of the untrained network ({untrained.knn:.3f})")
    return None


def _good_signs(look: Look, untrained: Look, trivial: float | None) -> str:
    signs = [f"effective rank {look.effective_rank:.1f} (untrained {untrained.effective_rank:.1f})"]
    if trivial is not None and look.loss is not None:
        signs.append(f"loss {look.loss:.3g} below its trivial {trivial:.3g}")
    if look.knn is not None and untrained.knn is not None:
        signs.append(f"kNN {look.knn:.3f} (untrained {untrained.knn:.3f})")
    return ", ".join(signs)


class LossTrail:
    """Losses of the run, thinned to bounded memory, for the means the verdict needs."""

    def __init__(
        self, values: Sequence[tuple[int, float]] = (), limit: int = 4096, start: Sequence[float] = ()
    ) -> None:
        self.values: list[tuple[int, float]] = list(values)
        self.start: list[float] = list(start)
        self.limit = limit

    def add(self, step: int, loss: float) -> None:
        """Keep one loss; every second one of the past is dropped when there are too many."""
        if math.isfinite(loss):
            self.values.append((step, loss))
            if len(self.start) < FIRST_LOSSES:
                self.start.append(loss)
        if len(self.values) > self.limit:
            self.values = self.values[::2]

    def recent(self) -> tuple[float | None, float | None, float | None]:
        """Mean loss of the last third of the run so far, of the third before, and of the first steps; None without."""
        n = len(self.values) // 3
        if n == 0:
            return (self.values[-1][1] if self.values else None), None, None
        losses = [loss for _, loss in self.values]
        start = sum(self.start) / len(self.start) if self.start else None
        return sum(losses[-n:]) / n, sum(losses[-2 * n : -n]) / n, start

    def state(self) -> dict[str, list[float]]:
        """Plain values for the checkpoint."""
        return {"step": [float(s) for s, _ in self.values], "loss": [v for _, v in self.values], "start": self.start}

    @classmethod
    def load(cls, state: dict[str, list[float]]) -> LossTrail:
        """From `state`."""
        values = [(int(s), v) for s, v in zip(state["step"], state["loss"], strict=True)]
        return cls(values, start=state["start"])


def look_state(look: Look) -> dict[str, Any]:
    """A look as plain values for the checkpoint and result.json."""
    return asdict(look)
