"""Weighted kNN against brute force and its edge cases."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.measures import knn_vote


def brute(queries: torch.Tensor, bank: torch.Tensor, labels: torch.Tensor, k: int, t: float) -> torch.Tensor:
    scores = torch.zeros(len(queries), int(labels.max()) + 1)
    for i, q in enumerate(queries):
        cosine = F.cosine_similarity(q[None], bank)
        for j in cosine.argsort(descending=True)[:k]:
            scores[i, labels[j]] += (cosine[j] / t).exp()
    return scores / scores.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("chunk", [3, 1024])
def test_equals_brute_force(chunk: int) -> None:
    queries, bank, labels = torch.randn(10, 6), torch.randn(30, 6), torch.randint(0, 4, (30,))
    ours = knn_vote(queries, bank, labels, k=7, temperature=0.07, chunk=chunk)
    torch.testing.assert_close(ours, brute(queries, bank, labels, 7, 0.07))


def test_unknown_rows_never_vote() -> None:
    queries, bank = torch.randn(5, 6), torch.randn(20, 6)
    labels = torch.randint(0, 3, (20,))
    known = torch.arange(20) % 2 == 0
    ours = knn_vote(queries, bank, torch.where(known, labels, -1), k=4, classes=3)
    torch.testing.assert_close(ours, knn_vote(queries, bank[known], labels[known], k=4, classes=3))


def test_more_neighbours_than_rows_uses_all() -> None:
    queries, bank, labels = torch.randn(5, 6), torch.randn(3, 6), torch.tensor([0, 1, -1])
    torch.testing.assert_close(knn_vote(queries, bank, labels, k=200), knn_vote(queries, bank[:2], labels[:2], k=2))


def test_leave_one_out_bars_the_row_itself_and_its_group() -> None:
    bank = torch.cat((torch.eye(2), torch.eye(2) + 0.01))
    labels, groups = torch.tensor([0, 1, 1, 0]), torch.tensor([5, 6, 5, 6])
    assert knn_vote(bank, bank, labels, k=1).argmax(dim=1).tolist() == [0, 1, 1, 0]
    out = knn_vote(bank, bank, labels, k=1, leave_one_out=True)
    assert out.argmax(dim=1).tolist() == [1, 0, 0, 1]
    apart = knn_vote(bank, bank, labels, k=1, leave_one_out=True, groups=groups)
    for row in range(4):
        others = groups != groups[row]
        torch.testing.assert_close(
            apart[row : row + 1], knn_vote(bank[row : row + 1], bank[others], labels[others], k=1)
        )


def test_no_neighbour_left_is_nan() -> None:
    bank, labels = torch.randn(3, 4), torch.tensor([0, 1, 1])
    assert knn_vote(bank, bank, labels, leave_one_out=True, groups=torch.zeros(3)).isnan().all()


def test_several_labels_and_values_are_weighted_means() -> None:
    queries, bank = torch.randn(4, 6), torch.randn(12, 6)
    values = torch.rand(12, 2)
    cosine = F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T
    best, index = cosine.topk(5, dim=1)
    weight = (best / 0.07).softmax(dim=1)
    torch.testing.assert_close(knn_vote(queries, bank, values, k=5), (weight[:, :, None] * values[index]).sum(dim=1))
    values[index[0, 0], 1] = torch.nan
    assert torch.isfinite(knn_vote(queries, bank, values, k=5)).all()


def test_separable_classes_are_found_and_noise_is_not() -> None:
    labels = torch.arange(100) % 4
    signal = F.one_hot(labels, 4).float().repeat(1, 3) + 0.2 * torch.randn(100, 12)
    assert (knn_vote(signal, signal, labels, leave_one_out=True).argmax(dim=1) == labels).float().mean() > 0.97
    noise = torch.randn(100, 12)
    assert (knn_vote(noise, noise, labels, leave_one_out=True).argmax(dim=1) == labels).float().mean() < 0.5


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="got 2 for 3 rows"):
        knn_vote(torch.randn(2, 4), torch.randn(3, 4), torch.zeros(3, dtype=torch.int64), leave_one_out=True)
    with pytest.raises(ValueError, match="at least one labelled row"):
        knn_vote(torch.randn(2, 4), torch.randn(0, 4), torch.zeros(0, dtype=torch.int64))
