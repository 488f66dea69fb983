"""Card 181, DenseCL. That its features serve dense tasks better than MoCo v2's is in test_dense_probe.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.nn.matching import most_alike
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import ITEMS, built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Features, Loss, Step, View, Views

STEP = Step(5, 10, 1, 8)


def views_of(method) -> Views:
    return small_views(method, toy_batch(4, items=ITEMS))


def features(tokens: Tensor, valid: Tensor | None = None) -> Features:
    return Features(tokens.mean(1), tokens[:, :0], tokens, None, valid)


def maps(seed: int, batch: int = 3, count: int = 5) -> Tensor:
    return torch.randn(batch, count, 128, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("queue", [0, 24])
def test_weight_0_is_moco_v2(queue: int) -> None:
    dense, backbone = built("densecl", dense_weight=0.0, queue=queue)
    moco, _ = built("moco-v2", queue=queue)
    moco.load_state_dict({k: v for k, v in dense.state_dict().items() if k in moco.state_dict()})
    dense.before_step(STEP)
    views = views_of(dense)
    assert torch.equal(total_of(dense(backbone, views)).total, total_of(moco(backbone, views)).total)


def test_weight_1_gives_the_global_head_no_gradient() -> None:
    method, backbone = built("densecl", dense_weight=1.0)
    method.before_step(STEP)
    total_of(method(backbone, views_of(method))).total.backward()
    assert all(p.grad is None or not p.grad.any() for p in method.projector.parameters())
    assert all(p.grad is not None and p.grad.any() for p in method.dense_projector.parameters())


def test_cells_of_equal_views_match_themselves_and_of_mirrored_ones_the_mirrored() -> None:
    x = maps(0)
    assert torch.equal(most_alike(x, x), torch.arange(5).expand(3, -1))
    grid = torch.randn(2, 4, 4, 8, generator=torch.Generator().manual_seed(0))
    mirrored = most_alike(grid.flatten(1, 2), grid.flip(2).flatten(1, 2)).view(2, 4, 4)
    assert torch.equal(mirrored, torch.arange(16).view(4, 4).flip(1).expand(2, -1, -1))


@pytest.mark.parametrize("queue", [0, 24])
def test_the_dense_loss_written_out(queue: int) -> None:
    """Matches are of backbone features; with matches of projected ones it would be another loss."""
    method, _ = built("densecl", queue=queue)
    method.double()
    query, key, view = maps(1), maps(2), View(torch.zeros(3, 1, 4, 4), index=torch.tensor([4, 7, 9]))
    loss, pooled = method.dense_loss(features(query), features(key), view)

    r = F.normalize(method.dense_projector(query), dim=-1)
    t = F.normalize(method.teacher.head("dense_projector", key), dim=-1)

    def by_hand(seen_query: Tensor, seen_key: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for b in range(3):
            for i in range(5):
                c = max(range(5), key=lambda j: float(F.cosine_similarity(seen_query[b, i], seen_key[b, j], dim=0)))
                if queue:
                    others = list(method.dense_queue.rows)
                else:
                    others = [F.normalize(t[o].mean(0), dim=0) for o in range(3) if o != b]
                scores = torch.stack([r[b, i] @ t[b, c], *(r[b, i] @ n for n in others)]) / 0.2
                total = total - scores.log_softmax(0)[0]
        return total / 15

    torch.testing.assert_close(loss, by_hand(query, key))
    assert abs(float((loss - by_hand(r, t)).detach())) > 1e-4
    torch.testing.assert_close(pooled, F.normalize(t.mean(1), dim=1))


def test_invalid_tokens_are_neither_asked_nor_chosen_nor_pooled() -> None:
    method, _ = built("densecl")
    method.double()
    query, key, view = maps(1), maps(2), View(torch.zeros(3, 1, 4, 4), index=torch.arange(3))
    valid = torch.tensor([[1, 1, 0, 1, 0]] * 3).bool()
    found = method.dense_loss(features(query, valid), features(key, valid), view)
    kept = method.dense_loss(features(query[:, [0, 1, 3]]), features(key[:, [0, 1, 3]]), view)
    for a, b in zip(found, kept, strict=True):
        torch.testing.assert_close(a, b)


def test_the_second_queue_holds_one_unit_vector_an_image() -> None:
    method, backbone = built("densecl")
    method.before_step(STEP)
    views = views_of(method)
    loss = total_of(method(backbone, views))
    assert isinstance(loss, Loss)
    method.after_step(STEP, backbone, [loss.watch], [views])
    assert int(method.dense_queue.pushed) == 4 == int(method.queue.pushed)
    torch.testing.assert_close(method.dense_queue.rows.norm(dim=1), torch.ones(24))
    assert torch.equal(method.dense_queue.rows[:4], loss.watch["dense_keys"])


def test_the_dense_term_waits_for_its_start() -> None:
    method, _ = built("densecl", dense_start="3")
    weights = []
    for step in range(5):
        method.before_step(Step(step, 10))
        weights.append(float(method.weight))
    assert weights == [0, 0, 0, 0.5, 0.5]
