"""Values as pure functions of progress, and durations in steps. Imports no torch."""

from __future__ import annotations

import math
import re

from ssl_platform.errors import ConfigError

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ep|%)?\s*")


def linear(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at 1, in a straight line; constant outside `[0, 1]`."""
    progress = min(1.0, max(0.0, progress))
    return start + (end - start) * progress


def cosine(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at 1 along half a cosine; constant outside `[0, 1]`.

    A momentum from m0 to 1 is BYOL's `1 - (1 - m0) (cos(pi t / T) + 1) / 2` (Grill et al., 2020).
    """
    progress = min(1.0, max(0.0, progress))
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))


def warmup(step: int, steps: int) -> float:
    """Factor in `(0, 1]` that rises linearly over the first `steps` steps.

    Args:
        step: optimiser steps done before this one; the first step already gets `1 / steps`, the last of the warm-up 1.
        steps: length of the warm-up; 0 for none.
    """
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def warmup_cosine(step: int, total: int, steps: int, floor: float = 0.0) -> float:
    """Factor that rises linearly for `steps` steps, then falls along half a cosine to `floor` at step `total`."""
    if step < steps:
        return warmup(step, steps)
    return cosine(1.0, floor, (step - steps) / max(1, total - steps))


def resolve_duration(text: str | int, total_steps: int, epoch_steps: int) -> int:
    """A duration in optimiser steps.

    Args:
        text: steps (`500`), epochs (`10ep`, `0.5ep`) or a part of the run (`5%`).
        total_steps: optimiser steps of the run.
        epoch_steps: optimiser steps of one pass over the data.

    Raises:
        ConfigError: `text` is none of these.
    """
    found = _DURATION.fullmatch(str(text))
    amount, unit = (float(found[1]), found[2]) if found else (0.0, None)
    wrong = found is None or (unit is None and amount != int(amount)) or (unit == "%" and amount > 100)
    if wrong:
        raise ConfigError(f"duration {text!r} is not steps ('500'), epochs ('10ep') or a part of the run ('5%')")
    scale = {None: 1.0, "ep": float(epoch_steps), "%": total_steps / 100}[unit]
    return round(amount * scale)
