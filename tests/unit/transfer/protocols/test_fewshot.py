"""Episodes: they hold what they say. Their classifiers are held to scikit-learn in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.transfer.evaluation import together
from ssl_platform.transfer.protocols.answer import Budget
from ssl_platform.transfer.protocols.fewshot import draw_episodes, fewshot
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

TASK = Task("classification", tuple("abcdef"))


def items(count: int, seed: int, spread: float, classes: int = 6) -> Labelled:
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % classes
    names = [f"{seed}-{i}" for i in range(count)]
    return Labelled(torch.eye(6)[target] + spread * torch.randn(count, 6, generator=draw), target, names, names)


def splits(spread: float) -> Splits:
    return Splits(items(60, 0, spread), items(30, 1, spread), items(60, 2, spread))


def test_chance_and_certainty() -> None:
    budget = Budget(episodes=300)
    sure = fewshot(splits(0.01), TASK, budget)
    assert (sure.score == 1).all()
    assert sure.details == {"classifier": "logistic", "ways": 5, "shots": 5, "queries": 15, "classes": 6}
    blind = together([fewshot(splits(1e4), TASK, budget)], {}).metrics["accuracy"]
    assert blind.ci_over == "episodes" and blind.value == pytest.approx(0.2, abs=0.06)


def test_labels_drawn_at_random_give_chance_within_the_interval() -> None:
    draw = torch.Generator().manual_seed(3)
    parts = [items(2000, seed, 0.5) for seed in range(3)]
    for part in parts:
        part.target = torch.randint(6, (2000,), generator=draw)
    found = together([fewshot(Splits(*parts), TASK, Budget(episodes=200))], {}).metrics["accuracy"]
    assert found.ci95 is not None and found.ci95[0] < 0.2 < found.ci95[1] < found.ci95[0] + 0.02


def test_the_interval_is_that_of_a_mean_of_episodes() -> None:
    answer = fewshot(splits(0.6), TASK, Budget(episodes=400, ways=3, shots=2))
    metric = together([answer], {}).metrics["accuracy"]
    half = 1.966 * answer.score.std(ddof=1) / 20
    assert metric.value == pytest.approx(answer.score.mean()) and metric.ci95 is not None
    assert metric.ci95[1] - metric.ci95[0] == pytest.approx(2 * half, rel=1e-3)
    rounds = together([answer, answer], {})
    assert len(set(rounds.groups)) == 800


def test_episodes_hold_distinct_classes_and_items() -> None:
    pools = [(torch.arange(10) + 100 * c, torch.arange(7) + 1000 + 100 * c) for c in range(6)]
    drawn = draw_episodes(pools, 4, Budget(seed=2, shots=3, queries=9, episodes=50))
    assert len(drawn) == 50
    for shown, asked in drawn:
        assert shown.shape == (4, 3) and asked.shape == (4, 7)  # seven test items a class are all there are
        assert len(shown.unique()) == 12 and len(asked.unique()) == 28
        of_class = shown[:, 0] // 100
        assert len(of_class.unique()) == 4
        assert (shown // 100 == of_class[:, None]).all() and ((asked - 1000) // 100 == of_class[:, None]).all()


def test_a_seed_decides() -> None:
    one, same, other = (fewshot(splits(0.6), TASK, Budget(seed, episodes=20)).score for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_too_few_labels_are_told() -> None:
    with pytest.raises(
        ConfigError, match=r"0 of 6 classes have 16 labelled items .*: lower probe\.shots or probe\.ways"
    ):
        fewshot(splits(0.1), TASK, Budget(shots=16))
    with pytest.raises(ConfigError, match=r"6 of 6 classes .* an episode needs 7"):
        fewshot(splits(0.1), TASK, Budget(ways=7))
