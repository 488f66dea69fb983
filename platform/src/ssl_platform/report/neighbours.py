"""Which items an encoder finds alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NEAREST = 5


def nearest(z: Tensor, groups: Sequence[str], count: int = NEAREST) -> tuple[Tensor, Tensor]:
    """The most similar items of other groups.

    Args:
        z: `[n, D]` embeddings.
        groups: `[n]` names; items of one group (a patient) do not count as found.
        count: how many.

    Returns:
        `[n, k]` cosine similarities, falling, and `[n, k]` places; k is less than `count` where there are fewer items.
    """
    unit = torch.nn.functional.normalize(z.float(), dim=1)
    number = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    group = torch.tensor([number[name] for name in groups])
    similarity = (unit @ unit.T).masked_fill(group[:, None] == group[None], -2.0)
    values, places = similarity.topk(min(count, len(z) - 1), dim=1)
    real = int((values > -1.5).sum(dim=1).min())
    return values[:, :real], places[:, :real]


def spread_out(total: int, count: int, target: np.ndarray | None) -> list[int]:
    """Places of items to ask about: evenly spaced, and of every class in turn where there are classes."""
    if target is None or not (target >= 0).any():
        return sorted({int(i) for i in np.linspace(0, total - 1, min(count, total)).round()})
    known = np.unique(target[target >= 0])
    per_class = [np.flatnonzero(target == c) for c in known]
    chosen: list[int] = []
    for turn in range(count):
        members = per_class[turn % len(per_class)]
        lap, laps = divmod(turn, len(per_class))[0], -(-count // len(per_class))
        chosen.append(int(members[(2 * lap + 1) * len(members) // (2 * laps)]))
    return list(dict.fromkeys(chosen))


def agreement(places: Tensor, target: np.ndarray) -> tuple[float | None, float | None]:
    """How often neighbours share a class, and how often items drawn at random would.

    Args:
        places: `[n, k]` neighbours.
        target: `[n]` classes, -1 unknown.
    """
    classes = torch.from_numpy(np.asarray(target, dtype=np.int64))
    found = classes[places]
    counted = (classes[:, None] >= 0) & (found >= 0)
    if not bool(counted.any()):
        return None, None
    same = float(((found == classes[:, None]) & counted).sum()) / float(counted.sum())
    share = torch.bincount(classes[classes >= 0]).float()
    return same, float((share / share.sum()).square().sum())
