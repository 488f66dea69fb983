"""Scores of objects and points followed through a video: J, F and PCK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

BOUNDARY = 0.008
"""Distance at which outlines still match, as a fraction of the frame's diagonal (Perazzi et al., CVPR 2016)."""


def region(target: np.ndarray, found: np.ndarray) -> float:
    """J: intersection over union of two bool masks of one shape; 1 where both are empty."""
    union = int((target | found).sum())
    return 1.0 if union == 0 else int((target & found).sum()) / union


def contour(target: np.ndarray, found: np.ndarray, tolerance: float = BOUNDARY) -> float:
    """F: harmonic mean of the precision and recall of the outline pixels of `[H, W]` masks; 1 where both have none.

    An outline pixel counts when the other outline passes within `tolerance` times the diagonal, rounded up.
    """
    from scipy import ndimage

    reach = int(np.ceil(tolerance * np.hypot(*target.shape)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = y**2 + x**2 <= reach**2
    a, b = outline(target), outline(found)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision = float((b & ndimage.binary_dilation(a, disk)).sum() / b.sum())
    recall = float((a & ndimage.binary_dilation(b, disk)).sum() / a.sum())
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of `[H, W]` that differ from their neighbour to the right, below, or below right."""
    mask = mask.astype(bool)
    right, below, both = mask.copy(), mask.copy(), mask.copy()
    right[:, :-1], below[:-1], both[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    edge = (mask != right) | (mask != below) | (mask != both)
    edge[-1] = mask[-1] != right[-1]
    edge[:, -1] = mask[:, -1] != below[:, -1]
    edge[-1, -1] = False
    return np.asarray(edge)


def j_and_f(
    target: np.ndarray, found: np.ndarray, classes: Sequence[int] | None = None, ignore: int = 255
) -> dict[str, float]:
    """Mean region and contour scores of a video: over its frames but the first and the last, then over its objects.

    The first frame is given and the last is left out, as the DAVIS benchmark does.

    Args:
        target: `[T, H, W]` objects by number, 0 for the background.
        found: likewise.
        classes: numbers of the objects; those of the first frame of `target` when None.
        ignore: number that counts nowhere.

    Returns:
        `j`, `f` and their mean `j_and_f`; nan without objects or without a frame between.
    """
    objects = [int(k) for k in np.unique(target[0]) if k not in (0, ignore)] if classes is None else list(classes)
    j, f = [], []
    for number in objects:
        pairs = []
        for t in range(1, len(target) - 1):
            known = target[t] != ignore
            pairs.append(((target[t] == number) & known, (found[t] == number) & known))
        if pairs:
            j.append(np.mean([region(a, b) for a, b in pairs]))
            f.append(np.mean([contour(a, b) for a, b in pairs]))
    mean_j, mean_f = (float(np.mean(v)) if v else float("nan") for v in (j, f))
    return {"j_and_f": (mean_j + mean_f) / 2, "j": mean_j, "f": mean_f}


def pck(
    target: np.ndarray,
    found: np.ndarray,
    visible: np.ndarray,
    size: np.ndarray,
    thresholds: Sequence[float] = (0.1, 0.2),
) -> Mapping[str, float]:
    """Percentage (as a fraction) of points found within a threshold of the object's size.

    Args:
        target: `[T, K, 2]` places, any unit.
        found: likewise.
        visible: `[T, K]` bool; others do not count, nor does the first frame.
        size: `[T]` size of the object in that unit (JHMDB: 0.6 times the larger side of the box around the points).
        thresholds: as fractions of the size.

    Returns:
        `pck@0.1` and so on; nan where no point is visible.
    """
    distance = np.linalg.norm(target - found, axis=-1)[1:] / np.maximum(np.asarray(size)[1:, None], 1e-12)
    counted = visible[1:].astype(bool)
    if not counted.any():
        return {f"pck@{t:g}": float("nan") for t in thresholds}
    return {f"pck@{t:g}": float((distance[counted] <= t).mean()) for t in thresholds}
