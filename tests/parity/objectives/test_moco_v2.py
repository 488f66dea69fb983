"""Card B03. Shuffled batch norm is not needed where statistics are global: see tests/ddp/test_leaks.py."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from ssl_platform.losses import info_nce, key_logits
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, built, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def test_loss_written_out_with_loops_and_its_no_learning_value() -> None:
    q, k = torch.randn(2, 5, 4, dtype=torch.float64)
    queue = torch.randn(9, 4, dtype=torch.float64)
    cos = lambda x, y: float(x @ y / (x.norm() * y.norm()))  # noqa: E731
    total = 0.0
    for i in range(5):
        own = math.exp(cos(q[i], k[i]) / 0.2)
        total -= math.log(own / (own + sum(math.exp(cos(q[i], queue[j]) / 0.2) for j in range(9))))
    assert float(info_nce(q, k, 0.2, queue=queue)) == pytest.approx(total / 5, abs=1e-9)
    alike = torch.ones(9, 4)
    assert float(info_nce(alike[:5], alike[:5], 0.2, queue=alike)) == pytest.approx(math.log(1 + 9), abs=1e-6)
    method, _ = built("moco-v2", queue=9)
    assert method.trivial(8) == math.log(1 + 9)


def test_loss_and_gradient_equal_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    theirs = lightly.NTXentLoss(temperature=0.2, memory_bank_size=(32, 6))
    queue = theirs.memory_bank.bank.clone()
    q, k = torch.randn(8, 6, requires_grad=True), torch.randn(8, 6)
    mine, yours = info_nce(q, k, 0.2, queue=queue), theirs(q, k)
    torch.testing.assert_close(mine, yours)
    torch.testing.assert_close(torch.autograd.grad(mine, q), torch.autograd.grad(yours, q))


def test_the_queue_holds_the_newest_keys_first_in_first_out() -> None:
    method, backbone = built("moco-v2", queue=20)  # not a multiple of the batch of 8
    pushed = []
    after = method.after_step

    def watched(step, backbone, watch, views) -> None:
        pushed.append(watch[0]["keys"])
        after(step, backbone, watch, views)

    method.after_step = watched
    fit(method, backbone, toy_layout(), lambda n: toy_batch(8, start=8 * n), 5, window=(16, 16), build=False)
    newest = torch.cat(pushed)[-20:]
    place = torch.arange(40 - 20, 40) % 20
    torch.testing.assert_close(method.queue.content()[place], newest, rtol=0, atol=0)
    assert method.queue_ids.content()[place].tolist() == list(range(20, 40))
    torch.testing.assert_close(newest.norm(dim=1), torch.ones(20))


def test_a_loaded_queue_and_pointer_give_the_next_loss_bit_for_bit() -> None:
    method, backbone = built("moco-v2")
    fit(method, backbone, toy_layout(), lambda n: toy_batch(8, start=8 * n), 2, window=(16, 16), build=False)
    state, weights = copy.deepcopy((method.state_dict(), backbone.state_dict()))
    other, same = built("moco-v2")
    other.load_state_dict(state), same.load_state_dict(weights)
    losses = [
        fit(m, b, toy_layout(), lambda n: toy_batch(8, start=16 + 8 * n), 2, window=(16, 16), build=False).losses
        for m, b in ((method, backbone), (other, same))
    ]
    assert losses[0] == losses[1]


def test_gradient_reaches_the_query_encoder_only_and_the_steps_keys_are_no_negatives() -> None:
    method, backbone = built("moco-v2")
    views = small_views(method, toy_batch(8))
    loss = total_of(method(backbone, views))
    queue = method.queue.content().clone()
    loss.watch["keys"].mul_(-1.0)  # what is enqueued later is no part of this step's loss
    loss.total.backward()
    assert all(p.grad is not None for p in [*backbone.parameters(), *method.projector.parameters()])
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert torch.equal(method.queue.content(), queue) and not method.queue.content().requires_grad
    assert float(total_of(method(backbone, views)).total) == float(loss.total)


def test_the_key_encoder_follows_with_a_constant_momentum() -> None:
    method, backbone = built("moco-v2", momentum=0.9, queue=0)
    before = [p.clone() for p in method.teacher.backbone.parameters()]
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(1.0)
    for number in (0, 9):
        method.after_step(Step(number, 10), backbone, [], [])
    for old, new in zip(before, method.teacher.backbone.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.19)


def test_keys_of_the_own_sample_can_be_left_out() -> None:
    method, backbone = built("moco-v2", negatives="other-samples", queue=8)
    plain, _ = built("moco-v2", queue=8)
    batches = lambda n: toy_batch(8, items=ITEMS)  # noqa: E731
    fit(method, backbone, toy_layout(), batches, 1, window=(16, 16), build=False)
    plain.load_state_dict(method.state_dict())
    views = small_views(method, toy_batch(8))
    q, k = torch.randn(2, 8, 16)
    logits, own = method.logits(q, k, views[0])
    everything, _ = plain.logits(q, k, views[0])
    queued = method.queue_ids.content()
    assert torch.equal(queued.sort().values, torch.arange(8)) and own.eq(0).all()
    assert torch.equal(logits[:, 1:].isinf(), views[0].index[:, None] == queued)
    assert torch.equal(logits[~logits.isinf()], everything[~logits.isinf()])
    grouped, group = key_logits(q, k, 0.2, group=views[0].group)  # without a queue the same holds in the batch
    assert int(grouped.isinf().sum()) == 8 and torch.equal(group, torch.arange(8))
