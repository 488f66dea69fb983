"""Attention pooling: the few instances that carry a label are found among many."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_platform.errors import UsageError
from ssl_platform.transfer.metrics import auc, macro_auc
from ssl_platform.transfer.protocols.answer import Budget
from ssl_platform.transfer.protocols.bags import Predict, fit_bags
from ssl_platform.transfer.protocols.linear import linear
from ssl_platform.transfer.protocols.mil import AttentionPool, mil
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

TASK = Task("classification", ("normal", "tumour"), positive="tumour")


def bags(count: int, seed: int, most: int = 24) -> Labelled:
    """Bags of 12 to `most` instances; in bags of tumour two of them lie elsewhere, which the mean hardly shows."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.full((count, most, 8), torch.nan)
    target = torch.arange(count) % 2
    for i in range(count):
        own = int(torch.randint(12, most + 1, (), generator=generator))
        features[i, :own] = torch.randn(own, 8, generator=generator)
        features[i, :own] += 0.5 * torch.randn(8, generator=generator)  # each bag lies elsewhere
        features[i, :2, 0] += 5.0 * target[i]
        features[i, 2:4, 0] -= 5.0 * target[i]
    ids = [str(i) for i in range(count)]
    return Labelled(features, target, ids, ids)


def fit_mil(train: Labelled, val: Labelled, task: Task, seed: int = 0, steps: int = 100) -> tuple[Predict, int]:
    return fit_bags(AttentionPool, train, val, task, Budget(seed, steps))


def test_few_instances_among_many_are_found() -> None:
    splits = Splits(bags(96, 0), bags(48, 1), bags(96, 2))
    found = mil(splits, TASK, Budget(steps=250))
    reached = macro_auc(found.target, found.score, 1)
    means = [
        Labelled(b.features.nanmean(1), b.target, b.groups, b.ids) for b in (bags(96, 0), bags(48, 1), bags(96, 2))
    ]
    drowned = linear(Splits(*means), TASK)
    assert reached > 0.9 > 0.7 > macro_auc(drowned.target, drowned.score, 1)
    assert len(found.ids) == 96 and 25 <= found.details["step"] <= 250
    with pytest.raises(UsageError, match="already opened"):
        splits.final(lambda features: np.zeros(len(features)))


def test_attention_is_a_mean_over_the_instances_there_are() -> None:
    torch.manual_seed(0)
    head = AttentionPool(8, 3).eval()
    values, valid = torch.randn(4, 6, 8), torch.tensor([[True] * 4 + [False] * 2] * 4)
    weights = head.attention(values, valid)
    assert torch.allclose(weights.sum(1), torch.ones(4)) and (weights[:, 4:] == 0).all()
    other = values.clone()
    other[:, 4:] = 1e4
    assert torch.equal(head(values, valid), head(other, valid))
    order = torch.tensor([2, 0, 3, 1, 5, 4])
    assert torch.allclose(head(values[:, order], valid), head(values, valid), atol=1e-6)
    alone = head(values[:, :1], valid[:, :1])
    assert torch.allclose(alone, head.head(values[:, 0]), atol=1e-6)


def test_a_seed_decides_and_the_global_generator_is_left_alone() -> None:
    train, val = bags(24, 0), bags(12, 1)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = (fit_mil(train, val, TASK, seed=1, steps=25)[0](val.features) for _ in range(2))
    assert np.array_equal(first, second) and torch.equal(before, torch.get_rng_state())
    assert not np.array_equal(first, fit_mil(train, val, TASK, seed=2, steps=25)[0](val.features))


@pytest.mark.parametrize("kind", ["regression", "multi-label"])
def test_other_tasks(kind: str) -> None:
    train, val = bags(96, 0), bags(24, 1)
    if kind == "regression":
        task = Task("regression")
        for part in (train, val):
            part.target = part.features[..., 1].nanmean(1)
        predict, _ = fit_mil(train, val, task, steps=200)
        assert np.corrcoef(predict(val.features), val.target.numpy())[0, 1] > 0.8
        return
    task = Task("multi-label", ("a", "b"))
    for part in (train, val):
        part.target = torch.stack([part.target.float(), 1.0 - part.target], 1)
    train.target[0, 0] = torch.nan
    predict, _ = fit_mil(train, val, task, steps=400)
    score = predict(val.features)
    assert score.shape == (24, 2)
    assert all(auc(val.target[:, label].numpy(), score[:, label]) > 0.85 for label in (0, 1))


def test_means_of_windows_are_refused() -> None:
    flat = Labelled(torch.zeros(4, 8), torch.zeros(4), list("abcd"), list("abcd"))
    with pytest.raises(UsageError, match="not their mean"):
        fit_mil(flat, flat, TASK)
