"""Fast patch selection: few tiles that stand for a slide, spread over its tissue.

Alfasly and others, Rotation-Agnostic Image Representation Learning for Digital Pathology, CVPR 2024: tiles nearer than
two sides to one already taken are passed over, and of those left some are drawn by the density of a kernel fitted on
them. Where fewer are left than asked for, those passed over fill up. No tile is looked at, so a slide costs
milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DISTANCE = 2.0
"""Least distance of two tiles, in sides of a tile."""
BANDWIDTH = 0.1
"""Of the kernel, as a fraction of the tissue's extent."""


def spread(starts: np.ndarray, size: Sequence[int], most: int, seed: int = 0) -> np.ndarray:
    """Positions in `starts` of at most `most` tiles, ascending; all of them where there are no more.

    Args:
        starts: `[n, 2]` first corners of the tiles.
        size: of a tile along each axis.
        most: how many.
        seed: of the order in which tiles are looked at, and of the draw.
    """
    if len(starts) <= most:
        return np.arange(len(starts))
    rng = np.random.default_rng(seed)
    kept = apart(starts / np.asarray(size), rng)
    if len(kept) > most:
        # the largest of log-density plus Gumbel noise: a draw without replacement by density
        drawn = np.log(_density(starts[kept])) + rng.gumbel(size=len(kept))
        kept = kept[np.argsort(-drawn, kind="stable")[:most]]
    elif len(kept) < most:
        others = rng.permutation(np.setdiff1d(np.arange(len(starts)), kept))
        kept = np.concatenate([kept, others[: most - len(kept)]])
    return np.sort(kept)


def apart(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions, in random order, of tiles at least two sides apart (Euclidean) from all taken before."""
    taken: list[int] = []
    buckets: dict[tuple[int, int], list[int]] = {}
    for at in rng.permutation(len(places)).tolist():
        y, x = (places[at] // DISTANCE).astype(int).tolist()
        near = (n for dy in (-1, 0, 1) for dx in (-1, 0, 1) for n in buckets.get((y + dy, x + dx), ()))
        if all(((places[at] - places[n]) ** 2).sum() >= DISTANCE**2 for n in near):
            taken.append(at)
            buckets.setdefault((y, x), []).append(at)
    return np.array(taken)


def _density(starts: np.ndarray) -> np.ndarray:
    """`[n]` Gaussian kernel density of the tiles at themselves, up to a constant."""
    extent = float(np.ptp(starts, axis=0).max()) or 1.0
    scaled = (starts - starts.min(axis=0)) / extent
    distance = ((scaled[:, None] - scaled[None]) ** 2).sum(axis=-1)
    return np.asarray(np.exp(-distance / (2 * BANDWIDTH**2)).sum(axis=1))
