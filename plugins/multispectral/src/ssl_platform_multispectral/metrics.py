"""The field's measure of maps: intersection over union."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def intersection_over_union(target: np.ndarray, prediction: np.ndarray, classes: Mapping[int, str]) -> dict[str, float]:
    """Intersection over union of each class of one scene, where the target is known.

    Args:
        target: `[H, W]` integers, -1 where unknown.
        prediction: `[H, W]` integers.
        classes: names by number.

    Returns:
        `iou_<class>` (nan where neither has the class) and `miou`, the mean over those that occur.
    """
    known = target >= 0
    truth, guess = target[known], prediction[known]
    found: dict[str, float] = {}
    for number, name in classes.items():
        union = int(((truth == number) | (guess == number)).sum())
        found[f"iou_{name}"] = int(((truth == number) & (guess == number)).sum()) / union if union else float("nan")
    present = [value for value in found.values() if not np.isnan(value)]
    return {"miou": float(np.mean(present)) if present else float("nan"), **found}
