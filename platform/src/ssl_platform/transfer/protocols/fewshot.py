"""Few-shot episodes: N classes told from K labelled items each, over and over.

An episode draws N classes, K labelled items of each from train and validation, and as many test items of each as there
are, at most Q. A classifier is fitted to the labelled ones: logistic regression by default (Tian et al., 2020,
arXiv:2003.11539), or what `probe.classifier` names. Features are centred with the mean of all train and validation
items and scaled to unit length (CL2N of SimpleShot: Wang et al., 2019, arXiv:1911.04623). Groups never lie on both
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
from ssl_platform.transfer.protocols.episode_classifiers import classify
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task

WAYS = 5
_AT_ONCE = 50  # episodes


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
    drawn = draw_episodes([pools[c] for c in sorted(pools)], ways, budget)
    reached = np.zeros((budget.episodes, 1))
    for first in range(0, budget.episodes, _AT_ONCE):
        some = drawn[first : first + _AT_ONCE]
        shown = torch.stack([support[rows] for rows, _ in some])
        most = max(rows.shape[1] for _, rows in some)
        asked = torch.stack([query[F.pad(rows, (0, most - rows.shape[1])).flatten()] for _, rows in some])
        found = classify(budget.classifier, shown, asked).view(len(some), ways, most)
        hits = found == torch.arange(ways)[:, None]
        reached[first : first + len(some), 0] = [
            float(hit[:, : rows.shape[1]].float().mean()) for hit, (_, rows) in zip(hits, some, strict=True)
        ]
    episodes = [f"episode {i + 1}" for i in range(budget.episodes)]
    details = {
        "classifier": budget.classifier,
        "ways": ways,
        "shots": budget.shots,
        "queries": budget.queries,
        "classes": len(pools),
    }
    functions = {"accuracy": mean_of_column(0)}
    return Answer(np.zeros(len(reached)), reached, episodes, episodes, details, functions, ("accuracy",), "episodes")


def draw_episodes(pools: list[tuple[Tensor, Tensor]], ways: int, budget: Budget) -> list[tuple[Tensor, Tensor]]:
    """Rows of the labelled items `[N, K]` and of the queries `[N, Q]` of every episode.

    Args:
        pools: labelled and test rows of each class that may be drawn.
        ways: N.
        budget: seed, shots, queries and number of episodes; Q is what the smallest of the N classes has, at most
            `queries`.
    """
    generator = torch.Generator().manual_seed(budget.seed)

    def some(of: Tensor, count: int) -> Tensor:
        return of[torch.randperm(len(of), generator=generator)[:count]]

    drawn = []
    for _ in range(budget.episodes):
        chosen = [pools[i] for i in torch.randperm(len(pools), generator=generator)[:ways].tolist()]
        count = min(budget.queries, *(len(tested) for _, tested in chosen))
        shown = torch.stack([some(pool, budget.shots) for pool, _ in chosen])
        drawn.append((shown, torch.stack([some(tested, count) for _, tested in chosen])))
    return drawn
