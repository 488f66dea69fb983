"""Few-shot episodes: N classes told from K labelled items each, over and over.

An episode draws N classes, K labelled items of each from train and validation, and as many test items of each as there
are, at most Q. The nearest class mean decides, in cosine distance of features centred with the mean of all train and
validation items (SimpleShot's CL2N: Wang et al., 2019, arXiv:1911.04623). Nothing is trained. Groups never lie on both
sides, since they lie in one part of the split. Intervals are over episodes: they say how far the mean is known for
these items, not for others.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.transfer.protocols.answer import Answer, Budget, mean_of_column
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task

WAYS = 5


def nearest_mean(support: Tensor, query: Tensor) -> Tensor:
    """`[N, Q]` the class whose mean is nearest in cosine similarity.

    Args:
        support: `[N, K, D]` unit vectors.
        query: `[N, Q, D]` unit vectors.
    """
    means = F.normalize(support.mean(dim=1), dim=-1)
    return (query @ means.T).argmax(dim=-1)


def fewshot(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Accuracy of every episode.

    Raises:
        ConfigError: too few classes have `probe.shots` labelled items.
    """
    budget = budget or Budget()
    known = splits.known
    test = splits.open()
    centre = known.features.mean(dim=0)
    support, query = (F.normalize(part.features - centre, dim=1) for part in (known, test))
    pools = {c: ((known.target == c).nonzero()[:, 0], (test.target == c).nonzero()[:, 0]) for c in range(task.outputs)}
    pools = {c: pool for c, pool in pools.items() if len(pool[0]) >= budget.shots and len(pool[1])}
    ways = min(WAYS, len(pools)) if budget.ways is None else budget.ways
    if ways < 2 or ways > len(pools):
        raise ConfigError(
            f"--protocol fewshot: {len(pools)} of {task.outputs} classes have {budget.shots} labelled items and a test "
            f"item, and an episode needs {max(2, ways)}: lower probe.shots or probe.ways"
        )
    generator = torch.Generator().manual_seed(budget.seed)

    def some(of: Tensor, count: int) -> Tensor:
        return of[torch.randperm(len(of), generator=generator)[:count]]

    names = sorted(pools)
    reached = np.zeros((budget.episodes, 1))
    for episode in range(budget.episodes):
        chosen = [pools[names[i]] for i in torch.randperm(len(names), generator=generator)[:ways].tolist()]
        count = min(budget.queries, *(len(tested) for _, tested in chosen))
        shown = torch.stack([support[some(pool, budget.shots)] for pool, _ in chosen])
        asked = torch.stack([query[some(tested, count)] for _, tested in chosen])
        hits = nearest_mean(shown, asked) == torch.arange(ways)[:, None]
        reached[episode] = float(hits.float().mean())
    episodes = [f"episode {i + 1}" for i in range(budget.episodes)]
    details = {"ways": ways, "shots": budget.shots, "queries": budget.queries, "classes": len(pools)}
    functions = {"accuracy": mean_of_column(0)}
    return Answer(np.zeros(len(reached)), reached, episodes, episodes, details, functions, ("accuracy",), "episodes")
