"""Two processes with half the batch each compute what one computes with all of it, in float64.

Every case maps this rank's rows through shared parameters to a rank loss. The mean of the rank losses must be the
global-batch loss, and the gradients averaged over ranks (what DDP does) must be its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform import distributed, losses
from ssl_platform.nn.bank import Bank, Queue
from ssl_platform.nn.clustering import balanced_labels, kmeans, sinkhorn, spherical_kmeans
from ssl_platform.nn.codebook import Codebook
from ssl_platform.nn.heads import DINOHead, mlp
from ssl_platform.nn.norm import GlobalBatchNorm
from ssl_platform.testing.processes import Processes, average_gradients, relative_difference

B, D, K = 8, 6, 5
LOG_SCALE = math.log(3.0)


def rows(*shape: int, seed: int = 0) -> Tensor:
    """This rank's share of `B` random rows that do not depend on the number of ranks."""
    values = torch.randn(B, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return distributed.share(values)


def replicated(*shape: int, seed: int = 9) -> Tensor:
    """Random values equal on all ranks."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uneven() -> Tensor:
    """`[B, 3]` bool with 9 of the 12 tokens of the first half valid and 2 of the second."""
    flags = [1] * 9 + [0] * 3 + [1, 1] + [0] * 10
    return distributed.share(torch.tensor(flags, dtype=torch.bool).view(B, 3))


def uneven_segments() -> Tensor:
    """`[B, 3, 2]` bool, as `uneven` in both lanes."""
    return uneven()[..., None].expand(-1, -1, 2)


GROUP = torch.tensor([0, 1, 2, 0, 3, 1, 4, 5])
LABELS = torch.tensor([0, -1, 2, 4, -1, -1, -1, 1])


def teacher_probs(u: int) -> Tensor:
    return losses.centred_softmax(rows(D, seed=20 + u), replicated(D), 0.5)


Head = Callable[[Tensor], Tensor]
CASES: dict[str, Callable[[Head, nn.Parameter], Tensor]] = {
    "nt_xent": lambda head, p: losses.nt_xent(head(rows(D)), head(rows(D, seed=1)), 0.3),
    "nt_xent by group": lambda head, p: losses.nt_xent(
        head(rows(D)), head(rows(D, seed=1)), 0.3, distributed.share(GROUP)
    ),
    "info_nce in batch": lambda head, p: losses.info_nce(head(rows(D)), head(rows(D, seed=1)), 0.3),
    "info_nce queue and own": lambda head, p: losses.info_nce(
        head(rows(D)),
        head(rows(D, seed=1)),
        0.3,
        in_batch=True,
        queue=head(replicated(7, D)),
        negatives=head(rows(3, D, seed=2)),
        group=distributed.share(GROUP),
        queue_group=torch.arange(7),
    ),
    "supcon": lambda head, p: losses.supcon(
        torch.stack((head(rows(D)), head(rows(D, seed=1)), head(rows(D, seed=2))), 1), distributed.share(LABELS), 0.3
    ),
    "supcon inside, several classes": lambda head, p: losses.supcon(
        head(rows(2, D)), (rows(3) > 0).double(), 0.3, inside=True
    ),
    "debiased_nt_xent": lambda head, p: losses.debiased_nt_xent(
        head(rows(D)), head(rows(D, seed=1)), 0.3, 0.1, distributed.share(GROUP)
    ),
    "kernel_info_nce": lambda head, p: losses.kernel_info_nce(head(rows(D)), head(rows(D, seed=1)), 0.3, 0.5),
    "noise_contrast": lambda head, p: losses.noise_contrast(
        head(rows(D))[:, 0],
        head(rows(D)),
        losses.estimated_log_normaliser(head(rows(D))[:, 0], head(rows(D)), 20),
        20,
    ),
    "memory_contrast": lambda head, p: losses.memory_contrast(head(rows(D))[:, 0], head(rows(D))),
    "memory_softmax": lambda head, p: losses.memory_softmax(head(rows(D))[:, 0], head(rows(D))),
    "future_info_nce": lambda head, p: losses.future_info_nce(
        [head(rows(2, 2, D, seed=1)), head(rows(1, 2, D, seed=2))], head(rows(3, 2, D)), 1, uneven_segments()
    ),
    "future_info_nce of others": lambda head, p: losses.future_info_nce(
        [head(rows(2, 2, D, seed=1))], head(rows(3, 2, D)), 1, negatives="others"
    ),
    "clip": lambda head, p: losses.clip_loss(head(rows(D)), head(rows(D, seed=1)), (p + LOG_SCALE).exp()),
    "vicreg": lambda head, p: losses.vicreg(head(rows(D)), head(rows(D, seed=1))),
    "vicreg of places": lambda head, p: losses.vicreg(head(rows(3, D)), head(rows(3, D, seed=1))),
    "place_consistency": lambda head, p: losses.place_consistency(
        head(rows(3, D)), rows(4, D, seed=1), rows(3, 4, seed=2) > 0.5
    ),
    "vicreg wide": lambda head, p: losses.covariance(head(rows(D)) @ replicated(D, 20)),
    "barlow_twins": lambda head, p: losses.barlow_twins(head(rows(D)), head(rows(D, seed=1))),
    "barlow_twins wide": lambda head, p: losses.barlow_twins(
        head(rows(D)) @ replicated(D, 20), head(rows(D, seed=1)) @ replicated(D, 20)
    ),
    "tico": lambda head, p: (
        losses.tico_terms(
            head(rows(D)), rows(D, seed=1), 0.5 * losses.second_moment(head(rows(D))) + 0.1 * torch.eye(D)
        ).contrast
    ),
    "w_mse": lambda head, p: losses.w_mse(
        [head(rows(D))[:, :2], head(rows(D, seed=1))[:, :2]], [torch.tensor([3, 7, 0, 1, 5, 2, 6, 4])], 4
    ),
    "sigreg": lambda head, p: losses.sigreg(head(rows(3, D)).transpose(0, 1), F.normalize(replicated(9, D), dim=1)),
    "view_mean_mse": lambda head, p: losses.view_mean_mse([head(rows(D, seed=s)) for s in range(3)], 2),
    "variance": lambda head, p: losses.variance(0.1 * head(rows(D))),
    "byol_regression": lambda head, p: losses.byol_regression(head(rows(D)), rows(D, seed=1)),
    "negative_cosine": lambda head, p: losses.negative_cosine(head(rows(D)), rows(D, seed=1)),
    "power spherical": lambda head, p: (
        -losses.log_power_spherical(
            F.cosine_similarity(head(rows(D)), rows(D, seed=1)), F.softplus(head(rows(D, seed=2))[:, 0]), D
        ).mean()
    ),
    "dino_cross_entropy": lambda head, p: losses.dino_cross_entropy(
        [head(rows(D, seed=s)) for s in range(4)], [teacher_probs(0), teacher_probs(1)], 0.2
    ),
    "koleo": lambda head, p: losses.koleo(head(rows(D))),
    "mean_entropy_gap": lambda head, p: losses.mean_entropy_gap(head(rows(D)), 0.3),
    "masked_distillation": lambda head, p: losses.masked_distillation(
        head(rows(3, D)), rows(3, D, seed=1).softmax(-1), 0.2, uneven()
    ),
    "swapped_prediction": lambda head, p: losses.swapped_prediction(
        [head(rows(D, seed=s)) for s in range(3)],
        [sinkhorn(head(rows(D, seed=s)), 0.5, replicated=head(replicated(5, D))) for s in range(2)],
        0.2,
    ),
    "soft_cross_entropy": lambda head, p: losses.soft_cross_entropy(
        head(rows(3, D)), sinkhorn(rows(3, D, seed=1), 0.5, valid=uneven()), valid=uneven()
    ),
    "cluster_cross_entropy": lambda head, p: losses.cluster_cross_entropy(
        F.normalize(head(rows(D)), dim=1), replicated(K, D), distributed.share(LABELS), 0.2
    ),
    "masked_cross_entropy": lambda head, p: losses.masked_cross_entropy(head(rows(D)), distributed.share(LABELS)),
    "masked_mean of patch_mse": lambda head, p: losses.masked_mean(
        losses.patch_mse(head(rows(3, D)), rows(3, D, seed=1)), uneven()
    ),
    "masked_error": lambda head, p: losses.masked_error(
        head(rows(3, D)), rows(3, D, seed=1), uneven(), rows(3, D, seed=2) > 0
    ),
    "spectrum_error": lambda head, p: losses.spectrum_error(
        head(rows(3, D)), rows(3, D, seed=1), rows(D, seed=3) > 0.5, uneven()
    ),
    "component_error": lambda head, p: losses.masked_mean(
        losses.component_error(head(rows(3, D)), rows(3, D, seed=1), torch.eye(D), 2, sigma=rows(seed=3)), uneven()
    ),
    "smooth_l1_tokens": lambda head, p: losses.masked_mean(
        losses.smooth_l1_tokens(head(rows(3, D)), rows(3, D, seed=1)), uneven()
    ),
    "patch_discrimination": lambda head, p: losses.masked_mean(
        losses.patch_discrimination(head(rows(3, D)), rows(3, D, seed=1), 0.2, uneven()), uneven()
    ),
    "pairwise_similarity": lambda head, p: (losses.pairwise_similarity(head(rows(3, D))) - 0.5).square().mean(),
    "token_cross_entropy": lambda head, p: losses.masked_mean(
        losses.token_cross_entropy(head(rows(3, D)), rows(3, D, seed=1).argmax(dim=-1)), uneven()
    ),
    "commitment and one_minus_cosine": lambda head, p: losses.masked_mean(
        losses.commitment(head(rows(3, D)), rows(3, D, seed=1))
        + losses.one_minus_cosine(head(rows(3, D)), rows(3, D, seed=2)),
        uneven(),
    ),
    "scaled_square_error": lambda head, p: losses.masked_mean(
        losses.scaled_square_error(head(rows(3, D)), rows(3, D, seed=1)), uneven()
    ),
    "global mean with weights": lambda head, p: losses.masked_mean(
        head(rows(D)).square().sum(dim=1), rows(seed=3).abs()
    ),
    "relation_loss": lambda head, p: losses.relation_loss(head(rows(3, D))[..., 0], rows(3, seed=1) > 0, uneven()),
    "critic and fooling": lambda head, p: (
        losses.critic_loss(head(rows(D))[:, 0], head(rows(D, seed=1))[:, 0]) + losses.fooling_loss(head(rows(D))[:, 1])
    ),
    "binned_cross_entropy": lambda head, p: losses.binned_cross_entropy(
        head(rows(3, D)),
        losses.soft_bins(rows(3, seed=1), torch.linspace(-1, 1, D).double()),
        replicated(D).exp(),
        uneven(),
    ),
    "counting_loss": lambda head, p: losses.counting_loss(
        head(rows(D)), head(rows(D, seed=1)), head(rows(D, seed=2)), 3.0, distributed.share(LABELS) >= 0
    ),
    "all_sum": lambda head, p: distributed.all_sum(head(rows(D)).sum(dim=0)).square().sum(),
    "all_mean": lambda head, p: distributed.all_mean(head(rows(D)).mean(dim=0)).square().sum(),
}
HEADS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(D, D),
    "mlp": lambda: mlp(D, 7, D, last_norm=True),
    "dino head": lambda: DINOHead(D, 7, 4, D, norm="batch"),
}


def share_of_case(name: str, head_name: str) -> tuple[float, list[Tensor], list[Tensor]]:
    """Global loss, gradient of every parameter, buffers after the forward pass."""
    torch.manual_seed(0)
    head = HEADS[head_name]().double()
    p = nn.Parameter(torch.zeros((), dtype=torch.float64))
    parameters = [*head.parameters(), p]
    loss = CASES[name](head, p)
    loss.backward()
    return float(distributed.all_mean(loss.detach())), average_gradients(parameters), list(head.buffers())


def every_case() -> dict[tuple[str, str], Any]:
    names = [(name, "linear") for name in CASES]
    names += [(name, head) for name in ("nt_xent", "vicreg", "soft_cross_entropy") for head in HEADS]
    return {key: share_of_case(*key) for key in dict.fromkeys(names)}


def state() -> dict[str, Tensor]:
    """What several ranks keep: normalised activations, running statistics, codes, centroids, banks, queues, centres."""
    found = {}
    for shape in ((D,), (D, 4), (D, 2, 3), (D, 2, 2, 2)):
        norm = GlobalBatchNorm(D).double()
        x = (rows(*shape) * 2 + 1).requires_grad_()
        y = norm(x)
        (y * rows(*shape, seed=5)).sum().backward()
        assert x.grad is not None
        found[f"norm {shape}"] = distributed.gather(y.detach())
        found[f"norm gradient {shape}"] = distributed.gather(x.grad)
        found[f"norm mean {shape}"], found[f"norm variance {shape}"] = norm.running_mean, norm.running_var
    found["sinkhorn"] = distributed.gather(sinkhorn(rows(K), 0.3))
    found["sinkhorn per position"] = distributed.gather(sinkhorn(rows(3, K), 0.3, per_position=True))
    found["sinkhorn uneven"] = distributed.gather(sinkhorn(rows(3, K), 0.3, valid=uneven()))
    found["sinkhorn queue"] = distributed.gather(sinkhorn(rows(K), 0.3, replicated=replicated(7, K)))
    found["k-means"] = spherical_kmeans(replicated(41, D), replicated(K, D, seed=4))
    found["means"], found["clusters"] = kmeans(
        torch.cat((replicated(41, D), replicated(9, D))), 45, seed=0, iterations=3
    )
    found["balanced labels"] = balanced_labels(replicated(41, D), lambda x: x @ replicated(D, K, seed=4), 5.0)
    bank, queue = Bank(10, D, dtype=torch.float64), Queue(12, D, dtype=torch.float64)
    bank.write(distributed.share(torch.tensor([3, 1, 9, 3, 0, 3, 5, 1])), rows(D))
    for seed in range(3):
        queue.push(rows(D, seed=seed))
    found["bank"], found["queue"], found["pushed"] = bank.rows, queue.content(), queue.pushed
    book = Codebook(K, D, centred=True).double()
    for seed in range(3):
        book.learn(rows(D, seed=seed) * (rows(1, seed=9) > -1), decay=0.9, revive=0.5)
    found["codebook"], found["codebook's shares"] = book.rows, book.share
    found["centre"] = losses.moved_centre(replicated(D), rows(3, D))
    flags = distributed.gather(uneven())
    assert flags.dtype is torch.bool
    found["gathered flags"] = flags
    found["broadcast"] = distributed.broadcast(torch.tensor(float(7 + distributed.rank())))
    return found


@pytest.fixture(scope="module")
def halves(pair: Processes) -> list[dict[tuple[str, str], Any]]:
    return pair.run(every_case)


@pytest.fixture(scope="module")
def whole() -> dict[tuple[str, str], Any]:
    return every_case()


def test_every_loss_and_gradient(halves: list[dict[tuple[str, str], Any]], whole: dict[tuple[str, str], Any]) -> None:
    for key, (loss, gradients, buffers) in whole.items():
        assert any(g.abs().max() > 0 for g in gradients), key
        for half in halves:
            half_loss, half_gradients, half_buffers = half[key]
            assert half_loss == pytest.approx(loss, rel=1e-9), key
            assert relative_difference(half_gradients, gradients) < 1e-9, key
            for mine, theirs in zip(half_buffers, buffers, strict=True):
                torch.testing.assert_close(mine, theirs, msg=str(key))


def careless() -> tuple[float, list[Tensor]]:
    """A masked mean over each rank's own count, and negatives of its own rows only: what must not pass the check."""
    torch.manual_seed(0)
    head = nn.Linear(D, D).double()
    own = losses.patch_mse(head(rows(3, D)), rows(3, D, seed=1))[uneven()].mean()
    a, b = F.normalize(head(rows(D)), dim=1), F.normalize(head(rows(D, seed=1)), dim=1)
    loss = own + F.cross_entropy(a @ b.T / 0.3, torch.arange(len(a)))
    loss.backward()
    return float(distributed.all_mean(loss.detach())), average_gradients(head.parameters())


def test_the_check_can_fail(pair: Processes) -> None:
    loss, gradients = careless()
    for half_loss, half_gradients in pair.run(careless):
        assert abs(half_loss - loss) > 1e-2
        assert relative_difference(half_gradients, gradients) > 1e-2


def test_state_is_equal_on_all_ranks_and_to_one_process(pair: Processes) -> None:
    torch.manual_seed(0)
    alone = state()
    first, second = pair.run(state)
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, msg=name)
        assert torch.equal(first[name], second[name]), name


def broken(every: bool) -> float:
    if every or distributed.rank() == 1:
        raise ArithmeticError("on purpose")
    return float(distributed.rank())


def test_a_failing_process_is_reported_and_the_pair_lives_on(pair: Processes) -> None:
    with pytest.raises(RuntimeError, match=r"process 1 failed:[\s\S]*ArithmeticError: on purpose"):
        pair.run(broken, False)
    with pytest.raises(RuntimeError, match="process 0 failed"):
        pair.run(broken, True)
    assert pair.run(distributed.rank) == [0, 1]
