"""NT-Xent and InfoNCE: closed forms, symmetries, precision, groups, queues."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import info_nce, nt_xent


@pytest.mark.parametrize("count", [2, 5, 16])
def test_equal_embeddings_give_log_of_the_number_of_candidates(count: int) -> None:
    z = torch.ones(count, 8)
    assert nt_xent(z, z, 0.1).item() == pytest.approx(math.log(2 * count - 1), abs=1e-5)
    assert info_nce(z, z, 0.1).item() == pytest.approx(math.log(count), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_aligned_pairs_orthogonal_to_the_rest(temperature: float) -> None:
    z = torch.eye(6, dtype=torch.float64)
    expected = math.log(1 + 10 * math.exp(-1 / temperature))
    assert nt_xent(z, 3 * z, temperature).item() == pytest.approx(expected, abs=1e-7)


def test_written_out_for_every_anchor() -> None:
    a, b = torch.randn(2, 5, 4, dtype=torch.float64)
    z = F.normalize(torch.cat((a, b)), dim=1)
    similarity = (z @ z.T / 0.3).exp()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(10):
        others = sum(similarity[i, j] for j in range(10) if j != i)
        total -= (similarity[i, (i + 5) % 10] / others).log()
    torch.testing.assert_close(nt_xent(a, b, 0.3), total / 10)


def test_symmetric_in_views_and_in_samples() -> None:
    a, b = torch.randn(2, 7, 4, dtype=torch.float64)
    order = torch.randperm(7)
    torch.testing.assert_close(nt_xent(a, b, 0.2), nt_xent(b, a, 0.2))
    torch.testing.assert_close(nt_xent(a, b, 0.2), nt_xent(a[order], b[order], 0.2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_is_computed_in_float32(dtype: torch.dtype) -> None:
    a, b = torch.randn(2, 8, 16).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(a, b, 0.01)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, nt_xent(a.float(), b.float(), 0.01), rtol=0, atol=0)


def test_gradients_match_finite_differences() -> None:
    a, b, queue = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    extra = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, y: nt_xent(x, y, 0.5), (a, b))
    assert torch.autograd.gradcheck(lambda x, y, n, e: info_nce(x, y, 0.5, queue=n, negatives=e), (a, b, queue, extra))


def test_same_group_pairs_are_no_negatives() -> None:
    a, b = torch.randn(2, 4, 3, dtype=torch.float64)
    group = torch.tensor([7, 7, 8, 9])
    z = F.normalize(torch.cat((a, b)), dim=1)
    similarity = (z @ z.T / 0.3).exp()
    groups = group.repeat(2)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(8):
        sibling = (i + 4) % 8
        kept = [j for j in range(8) if j != i and (j == sibling or groups[i] != groups[j])]
        total -= (similarity[i, sibling] / similarity[i, kept].sum()).log()
    torch.testing.assert_close(nt_xent(a, b, 0.3, group), total / 8)
    torch.testing.assert_close(nt_xent(a, b, 0.3, torch.arange(4)), nt_xent(a, b, 0.3))


def test_one_group_only_leaves_nothing_to_learn() -> None:
    a = torch.randn(4, 3, requires_grad=True)
    loss = nt_xent(a, torch.randn(4, 3), 0.1, torch.zeros(4, dtype=torch.int64))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert a.grad is not None and a.grad.abs().max() < 1e-6


def test_queue_in_batch_and_own_negatives_are_all_counted() -> None:
    z = torch.ones(3, 4)
    queue, extra = torch.ones(10, 4), torch.ones(3, 2, 4)
    assert info_nce(z, z, 0.07, queue=queue).item() == pytest.approx(math.log(11), abs=1e-5)
    assert info_nce(z, z, 0.07, queue=queue, negatives=extra).item() == pytest.approx(math.log(13), abs=1e-5)
    assert info_nce(z, z, 0.07, in_batch=True, queue=queue, negatives=extra).item() == pytest.approx(
        math.log(15), abs=1e-5
    )


def test_moco_is_a_cross_entropy_with_the_key_first() -> None:
    q, k, queue = torch.randn(4, 8), torch.randn(4, 8), torch.randn(6, 8)
    cosine = F.cosine_similarity(q[:, None], torch.cat((k[:, None], queue.expand(4, -1, -1)), dim=1), dim=2)
    expected = -(cosine / 0.2).log_softmax(dim=1)[:, 0].mean()
    torch.testing.assert_close(info_nce(q, k, 0.2, queue=queue), expected)


def test_queue_entries_of_the_same_group_are_left_out() -> None:
    q, k, queue = torch.randn(2, 8), torch.randn(2, 8), torch.randn(3, 8)
    kept = info_nce(q, k, 0.2, queue=queue, group=torch.tensor([1, 1]), queue_group=torch.tensor([1, 2, 2]))
    torch.testing.assert_close(kept, info_nce(q, k, 0.2, queue=queue[1:]))


def test_wrong_shapes_and_missing_negatives_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(5, 3\)"):
        nt_xent(torch.randn(4, 3), torch.randn(5, 3), 0.1)
    with pytest.raises(ValueError, match="no negatives"):
        info_nce(torch.randn(4, 3), torch.randn(4, 3), 0.1, in_batch=False)
