"""Distances between the surfaces of labelled regions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np


def hausdorff95(
    target: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], classes: Mapping[int, str]
) -> dict[str, float]:
    """The larger of both directed 95th percentiles of surface distances, mm, as `hd95_<class>` and their mean `hd95`.

    A class that one of both lacks costs the volume's diagonal, the largest distance there is; one that both lack is nan
    and left out of the mean.

    Args:
        target: `[D, H, W]` classes, -1 where unknown: what is predicted there does not count.
        prediction: `[D, H, W]` classes.
        spacing: mm along D, H, W.
        classes: the classes to score, by number.
    """
    prediction = np.where(target < 0, -1, prediction)
    diagonal = float(np.linalg.norm(np.asarray(spacing) * target.shape))
    found = {
        name: _distance(target == number, prediction == number, spacing, diagonal) for number, name in classes.items()
    }
    known = [distance for distance in found.values() if not np.isnan(distance)]
    mean = float(np.mean(known)) if known else float("nan")
    return {"hd95": mean, **{f"hd95_{name}": distance for name, distance in found.items()}}


def _distance(target: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], diagonal: float) -> float:
    there, told = bool(target.any()), bool(prediction.any())
    if not there and not told:
        return float("nan")
    if not there or not told:
        return diagonal
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    def batch(mask: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(mask)[None, None].float()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI warns of its own calls
        distance = compute_hausdorff_distance(
            batch(prediction), batch(target), include_background=True, percentile=95, spacing=list(spacing)
        )
    return float(distance[0, 0])
