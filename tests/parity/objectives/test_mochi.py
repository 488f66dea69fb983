"""Card 201. The probe after training with and without mixing is a row of the learning table."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.config.schema import RunConfig
from ssl_platform.losses.mixing import hardest, mix_pairs, mix_with_query
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.objectives.contrastive.mochi import MoCHi
from ssl_platform.testing.objectives import built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.train.scale import RunSize, shrink
from ssl_platform.types import Step


def ready(**settings: object) -> tuple[Objective, object, object]:
    method, backbone = built("mochi", **settings)
    method.before_step(Step(5, 10))
    return method, backbone, small_views(method, toy_batch(8))


def test_without_mixtures_it_is_moco_bit_for_bit() -> None:
    method, backbone, views = ready(mixed=0, query_mixed=0)
    moco, _ = built("moco-v2")
    moco.load_state_dict(method.state_dict())
    before, other = ready(mixing_start="9")[:2]  # nor before mixing begins
    results = []
    for objective, net in ((method, backbone), (moco, backbone), (before, other)):
        loss = total_of(objective(net, views)).total
        results.append((loss, torch.autograd.grad(loss, [*net.parameters(), *objective.projector.parameters()])))
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert all(torch.equal(a, b) for a, b in zip(gradient, results[0][1], strict=True))


def test_loss_written_out_with_loops() -> None:
    method, _, views = ready()
    q, k = torch.randn(2, 8, 16, dtype=torch.float64)
    method.double()
    logits, own = method.logits(q, k, views[0])
    found = F.cross_entropy(logits, own)
    made, _ = method.mixtures(q, k, views[0])
    q, k, queue = F.normalize(q, dim=1), F.normalize(k, dim=1), F.normalize(method.queue.content(), dim=1)
    total = 0.0
    for i in range(8):
        positive = math.exp(float(q[i] @ k[i]) / 0.2)
        rest = sum(math.exp(float(q[i] @ n) / 0.2) for n in queue)
        rest += sum(math.exp(float(q[i] @ h) / 0.2) for h in made[i])
        total -= math.log(positive / (positive + rest))
    assert float(found) == pytest.approx(total / 8, rel=1e-9)


def test_more_mixtures_only_add_terms() -> None:
    q, k = torch.randn(2, 8, 16)
    rows = []
    for mixed, query_mixed in ((0, 1), (4, 1), (12, 1), (12, 2), (12, 20)):
        method, _, views = ready(mixed=mixed, query_mixed=query_mixed)
        logits, own = method.logits(q, k, views[0])
        rows.append(F.cross_entropy(logits, own, reduction="none"))
        if mixed == 12 and query_mixed == 1:
            assert torch.equal(
                method.mixtures(q, k, views[0])[0][:, :4], ready(mixed=4)[0].mixtures(q, k, views[0])[0][:, :4]
            )
    assert all((more > less).all() for less, more in itertools.pairwise(rows))


def test_mixtures_are_unit_constants_and_those_with_the_query_lie_between() -> None:
    method, _, views = ready()
    q, k = torch.randn(2, 8, 16, requires_grad=True)
    made, known = method.mixtures(q, k, views[0])
    assert made.shape == (8, 8 + 6, 16) and known.all() and not made.requires_grad
    torch.testing.assert_close(made.norm(dim=2), torch.ones(8, 14))

    pool = torch.randn(30, 16)
    hard = hardest(q, pool, 10)
    place = torch.linspace(0, 0.99, 10).expand(8, -1)
    unit = F.normalize(q.detach(), dim=1)
    cos = lambda rows: torch.einsum("bd,bsd->bs", unit, rows)  # noqa: E731
    parent = cos(mix_with_query(q, pool, hard, place, torch.zeros(8, 10)))
    half = cos(mix_with_query(q, pool, hard, place, torch.full((8, 10), 0.5)))
    some = cos(mix_with_query(q, pool, hard, place, 0.5 * torch.rand(8, 10)))
    assert (some >= parent - 1e-6).all() and (some <= half + 1e-6).all()
    torch.testing.assert_close(parent, (unit @ F.normalize(pool, dim=1).T).topk(10).values)
    ends = [mix_pairs(pool, hard, place, place.flip(1), torch.full((8, 10), share)) for share in (0.0, 1.0)]
    torch.testing.assert_close(ends[0], ends[1].flip(1))


def test_the_hardest_are_the_nearest_and_the_own_samples_keys_are_never_among_them() -> None:
    q, pool = torch.randn(5, 8), torch.randn(40, 8)
    barred = torch.rand(5, 40) < 0.3
    barred[4] = True
    barred[3, 5:] = True
    barred[3, :5] = False
    hard = hardest(q, pool, 10, barred)
    similarity = F.normalize(q, dim=1) @ F.normalize(pool, dim=1).T
    for i in range(3):
        chosen = set(hard.rows[i].tolist())
        outside = [j for j in range(40) if j not in chosen and not barred[i, j]]
        assert not barred[i][hard.rows[i]].any()
        assert similarity[i][hard.rows[i]].min() >= similarity[i][outside].max()
    assert hard.known.tolist() == [10, 10, 10, 5, 0]
    drawn = mix_pairs(pool, hard, *torch.rand(2, 5, 50), torch.ones(5, 50))
    assert {round(float(x), 4) for x in drawn[3, :, 0]} <= {round(float(x), 4) for x in F.normalize(pool, dim=1)[:5, 0]}


@pytest.mark.parametrize("queue", [0, 16])
def test_a_query_with_nothing_to_mix_gets_no_mixture(queue: int) -> None:
    method, _, views = ready(queue=queue, negatives="other-groups")
    view = views[0].replace(group=torch.tensor([0, 1, 1, 1, 1, 1, 1, 1]))
    method.queue_ids.rows.fill_(1)
    logits, _ = method.logits(*torch.randn(2, 8, 16), view)
    mixed = logits[:, -14:].isinf()
    assert not mixed[0].any()
    assert bool(mixed[1:].all()) == bool(queue), "without a queue the first sample's key is left to mix"


def test_mixing_makes_the_proxy_task_harder() -> None:
    method, _, views = ready()
    moco, _ = built("moco-v2")
    moco.load_state_dict(method.state_dict())
    q = torch.randn(8, 16)
    near = q + 1.5 * torch.randn(8, 16)
    method.queue.rows[:] = F.normalize(q.repeat(3, 1) + 1.5 * torch.randn(24, 16), dim=1)
    moco.load_state_dict(method.state_dict())
    loss = [float(F.cross_entropy(*one.logits(q, near, views[0]))) for one in (moco, method)]
    margin = [one.logits(q, near, views[0])[0] for one in (moco, method)]
    gap = [float((rows[:, 0] - rows[:, 1:].amax(1)).mean()) for rows in margin]
    assert loss[1] > loss[0] and gap[1] < gap[0]


def test_hard_negatives_shrink_with_the_queue_of_a_small_run() -> None:
    config = RunConfig(objective={"name": "mochi"})
    shrink(config, MoCHi.Config().model_dump(), RunSize(640, 32, 500, 96, 3, False))
    small = config.objective
    assert small["queue"] == 320 and small["hardest"] == small["mixed"] == small["query_mixed"] == 20
