"""Card 226. Its comparison of softmax and noise contrast on CIFAR is a row of the learning table."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import estimated_log_normaliser, noise_contrast
from ssl_platform.measures import knn_vote
from ssl_platform.nn.bank import Bank
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import ITEMS, built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Step


def test_losses_written_out_with_loops() -> None:
    method, backbone = built("instdisc")
    method.double(), backbone.double()
    views = [v.replace(x=v.x.double()) for v in small_views(method, toy_batch(6, start=20))]
    f = F.normalize(method.projector(backbone(views[0]).pooled), dim=1)
    bank, n, m, tau = method.bank.rows, ITEMS, 24, 0.07
    drawn = views[0].random.integer("noise", n, m)
    similar = lambda i, j: float(bank[j] @ f[i]) / tau  # noqa: E731
    index = views[0].index
    values = [math.exp(similar(i, j)) for i in range(6) for j in (index[i], *drawn[i])]
    z = n * sum(values) / len(values)
    total = 0.0
    for i in range(6):
        for j, own in ((index[i], True), *((j, False) for j in drawn[i])):
            p = math.exp(similar(i, j)) / z
            total -= math.log(p / (p + m / n)) if own else math.log((m / n) / (p + m / n))
    assert float(total_of(method(backbone, views)).total) == pytest.approx(total / 6, rel=1e-9)

    full, _ = built("instdisc", negatives=0)
    full.load_state_dict(method.state_dict())
    full.double()
    total = 0.0
    for i in range(6):
        everything = sum(math.exp(similar(i, j)) for j in range(n))
        total -= math.log(math.exp(similar(i, index[i])) / everything)
    assert float(total_of(full(backbone, views)).total) == pytest.approx(total / 6, rel=1e-6)


def test_softmax_stands_in_where_noise_would_not_be_cheaper() -> None:
    method, _ = built("instdisc", negatives=ITEMS)
    plain, _ = built("instdisc", negatives=0)
    assert method.noise == plain.noise == 0 and method.trivial(8) == math.log(ITEMS)
    noisy, _ = built("instdisc", negatives=3)
    assert noisy.trivial(8) == pytest.approx(-math.log(1 / 4) - 3 * math.log(3 / 4))
    own, noise = torch.zeros(5), torch.zeros(5, 3)
    z = estimated_log_normaliser(own, noise, ITEMS)
    assert float(noise_contrast(own, noise, z, ITEMS)) == pytest.approx(noisy.trivial(8), abs=1e-5)


def test_the_gradient_of_noise_contrast_is_nearly_that_of_the_softmax() -> None:
    """Random unit vectors, n = m = 512, the exact normaliser of each sample."""
    generator = torch.Generator().manual_seed(0)
    bank = F.normalize(torch.randn(512, 128, generator=generator), dim=1)
    f = F.normalize(torch.randn(1, 128, generator=generator), dim=1).requires_grad_()
    index = torch.tensor([7])
    logits = f @ bank.T / 0.07
    full = torch.autograd.grad(F.cross_entropy(logits, index), f, retain_graph=True)[0]
    mean = torch.zeros_like(full)
    for _ in range(10):
        noise = torch.randint(512, (1, 512), generator=generator)
        z = logits.logsumexp(1)[0]
        loss = noise_contrast(logits[:, 7], logits.gather(1, noise), z, 512)
        mean += torch.autograd.grad(loss, f, retain_graph=True)[0] / 10
        assert F.cosine_similarity(mean, full) > 0.95


def test_the_bank_keeps_unit_rows_and_changes_those_of_the_batch_only() -> None:
    for momentum in (0.0, 0.5, 1.0):
        method, backbone = built("instdisc", bank_momentum=momentum)
        before = method.bank.rows.clone()
        torch.testing.assert_close(before.norm(dim=1), torch.ones(ITEMS))
        views = small_views(method, toy_batch(8, start=5))
        loss = total_of(method(backbone, views))
        method.after_step(Step(0, 10), backbone, [{k: v.detach() for k, v in loss.watch.items()}], [views])
        rows, f = method.bank.rows, loss.watch["bank"].detach()
        expected = F.normalize(momentum * before[5:13] + (1 - momentum) * f, dim=1)
        torch.testing.assert_close(rows[5:13], expected)
        rest = [i for i in range(ITEMS) if not 5 <= i < 13]
        assert torch.equal(rows[rest], before[rest]) and not rows.requires_grad
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(ITEMS))


def test_the_normaliser_is_set_in_the_first_step_and_restored() -> None:
    method, backbone = built("instdisc")
    kept = []
    for number in range(3):
        views = small_views(method, toy_batch(8, start=8 * number))
        watch = {k: v.detach() for k, v in total_of(method(backbone, views)).watch.items()}
        if number == 0:
            own, noise = method.scores(watch["bank"], views[0])
            first = estimated_log_normaliser(own, noise, ITEMS)
        method.after_step(Step(number, 10), backbone, [watch], [views])
        kept.append(method.log_normaliser.clone())
    torch.testing.assert_close(kept[0], first)
    assert torch.equal(kept[1], kept[0]) and torch.equal(kept[2], kept[0])
    other, same = built("instdisc")
    same.load_state_dict(backbone.state_dict())
    other.load_state_dict(method.state_dict())
    views = small_views(method, toy_batch(8, start=30))
    assert torch.equal(total_of(other(same, views)).watch["log_normaliser"], kept[0])


@pytest.mark.parametrize("size", [20, 4000])
def test_both_ways_to_compare_with_the_bank_agree(size: int) -> None:
    """A large bank is read at the rows asked for, a small one multiplied as a whole."""
    bank = Bank(size, 6, random=True)
    queries = torch.randn(3, 6, requires_grad=True)
    index = torch.randint(size, (3, 9))
    found = bank.compare(queries, index)
    expected = torch.stack([bank.rows[index[i]] @ queries[i] for i in range(3)])
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad(x.square().sum(), queries)[0] for x in (found, expected)]
    torch.testing.assert_close(*grads)


def test_its_nearest_neighbour_vote_equals_a_brute_force_one() -> None:
    generator = torch.Generator().manual_seed(1)
    queries, bank = (F.normalize(torch.randn(n, 5, generator=generator), dim=1) for n in (4, 30))
    labels = torch.randint(3, (30,), generator=generator)
    for i, votes in enumerate(knn_vote(queries, bank, labels, 7, 0.07, 3)):
        nearest = sorted(range(30), key=lambda j: -float(queries[i] @ bank[j]))[:7]
        weight = [
            sum(math.exp(float(queries[i] @ bank[j]) / 0.07) for j in nearest if labels[j] == c) for c in range(3)
        ]
        torch.testing.assert_close(votes, torch.tensor(weight) / sum(weight))
