"""Sets of permutations that differ from each other in as many places as possible."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

_ALL = 5040  # up to so many permutations (of 7 things) every one is a candidate
_POOL = 20  # candidates for each permutation wanted, where they are drawn


def permutation_set(length: int, count: int, seed: int = 0) -> Tensor:
    """Permutations chosen greedily for the largest mean Hamming distance to those chosen (Noroozi, Favaro, 2016).

    The first is drawn; each further one is the candidate with the largest mean distance to all so far. Candidates are
    all permutations where there are few, else a drawn pool: the published search over all of 9! gains nothing that can
    be measured, and 27! cannot be listed.

    Args:
        length: things to permute.
        count: permutations; fewer come back where there are not so many.
        seed: of the draws; the same seed gives the same set.

    Returns:
        `[count, length]` int64, unlike rows.
    """
    generator = torch.Generator().manual_seed(seed)
    candidates = _candidates(length, count, generator)
    count = min(count, len(candidates))
    distance = torch.zeros(len(candidates), dtype=torch.int64)
    newest = int(torch.randint(len(candidates), (), generator=generator))
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(newest)
        distance += (candidates != candidates[newest]).sum(1)
        distance[newest] = -(length * count)  # never again
        newest = int(distance.argmax())
    return candidates[chosen].long()


def _candidates(length: int, count: int, generator: torch.Generator) -> Tensor:
    """`[n, length]` uint8 unlike permutations."""
    if length <= 20 and math.factorial(length) <= _ALL:
        return torch.tensor(list(itertools.permutations(range(length))), dtype=torch.uint8)
    pool = torch.rand(_POOL * count, length, generator=generator).argsort(1).to(torch.uint8)
    return torch.unique(pool, dim=0)
