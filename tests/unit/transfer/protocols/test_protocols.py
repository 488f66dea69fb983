import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from ssl_platform.errors import UsageError
from ssl_platform.transfer.metrics import macro_auc
from ssl_platform.transfer.protocols.knn import knn
from ssl_platform.transfer.protocols.linear import fit_linear, linear
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

CLASSES = Task("classification", ("a", "b", "c"))


def blobs(n: int, seed: int, spread: float = 1.0) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(n) % 3
    centres = torch.tensor([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
    x = centres[target] + spread * torch.randn(n, 4, generator=generator)
    return Labelled(x, target, [str(i) for i in range(n)], [str(i) for i in range(n)])


def splits(spread: float = 1.0) -> Splits:
    return Splits(blobs(90, 0, spread), blobs(30, 1, spread), blobs(60, 2, spread))


@pytest.mark.parametrize("protocol", [knn, linear])
def test_separable_classes_are_found_and_noise_is_not(protocol) -> None:
    found = protocol(splits(0.3), CLASSES)
    assert (found.score.argmax(1) == found.target).mean() == 1.0 and len(found.ids) == 60
    shuffled = splits(0.3)
    shuffled.train.target = shuffled.train.target[torch.randperm(90)]
    shuffled.val.target = shuffled.val.target[torch.randperm(30)]
    found = protocol(shuffled, CLASSES)
    assert (found.score.argmax(1) == found.target).mean() < 0.6


@pytest.mark.parametrize("protocol", [knn, linear])
def test_the_test_split_is_read_for_no_choice(protocol) -> None:
    a, b = splits(), splits()
    b._test.features = torch.full_like(b._test.features, float("nan"))
    b._test.target = torch.zeros_like(b._test.target)
    assert protocol(a, CLASSES).details == protocol(b, CLASSES).details


def test_the_test_split_opens_once() -> None:
    door = splits()
    door.final(lambda x: x.numpy())
    with pytest.raises(UsageError, match="already opened"):
        door.final(lambda x: x.numpy())


def test_few_labels_are_not_joined_by_those_of_the_validation_items() -> None:
    few = splits()
    few.few = True
    assert few.known is few.train and len(splits().known) == 120


def ordered(n: int, seed: int) -> Labelled:
    """Four classes along one direction: those between others are told by all logits together, by none alone."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(n) % 4
    x = torch.randn(n, 3, generator=generator)
    x[:, 0] = target + 0.05 * x[:, 0]
    return Labelled(x, target, [str(i) for i in range(n)], [str(i) for i in range(n)])


def test_scores_of_classes_rank_items_as_probabilities_do() -> None:
    task = Task("classification", ("a", "b", "c", "d"))
    found = linear(Splits(ordered(200, 0), ordered(80, 1), ordered(120, 2)), task)
    np.testing.assert_allclose(found.score.sum(1), 1.0)
    assert (found.score.argmax(1) == found.target).mean() > 0.97
    assert macro_auc(found.target, found.score) == pytest.approx(
        roc_auc_score(found.target, found.score, multi_class="ovr")
    )
    assert macro_auc(found.target, found.score) > 0.99 > 0.9 > macro_auc(found.target, shifted(found.score))


def shifted(score: np.ndarray) -> np.ndarray:
    """Logits of these probabilities, those of each item moved by a number of its own."""
    return np.log(score + 1e-300) + 30 * np.random.default_rng(0).normal(size=(len(score), 1))


def test_linear_probe_matches_scikit_learn() -> None:
    bank, other = blobs(90, 0), blobs(40, 5)
    decay = 1e-2
    mean, std = bank.features.mean(0), bank.features.std(0, correction=0)
    oracle = LogisticRegression(C=1 / (decay * len(bank)), tol=1e-8, max_iter=2000)
    oracle.fit(((bank.features - mean) / std).numpy(), bank.target.numpy())
    expected = oracle.predict_log_proba(((other.features - mean) / std).numpy())
    got = np.log(fit_linear(bank, CLASSES, decay)(other.features))
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_ridge_matches_scikit_learn() -> None:
    bank = blobs(90, 0)
    bank.target = bank.features @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 3
    mean, std = bank.features.mean(0), bank.features.std(0, correction=0)
    oracle = Ridge(alpha=0.1 * 90).fit(((bank.features - mean) / std).numpy(), bank.target.numpy())
    got = fit_linear(bank, Task("regression"), 0.1)(bank.features)
    np.testing.assert_allclose(got, oracle.predict(((bank.features - mean) / std).numpy()), atol=1e-4)


def test_multi_label_ignores_unknown_labels() -> None:
    bank = blobs(90, 0, 0.3)
    bank.target = torch.nn.functional.one_hot(bank.target, 3).double()
    task = Task("multi-label", ("a", "b", "c"))
    clean = fit_linear(bank, task, 1e-2)(bank.features)
    bank.target[::2, 1] = float("nan")
    partly = fit_linear(bank, task, 1e-2)(bank.features)
    assert ((clean > 0.5) == (partly > 0.5)).mean() > 0.97
