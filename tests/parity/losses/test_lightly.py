"""Losses and their gradients against lightly's, on random input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

lightly_loss = pytest.importorskip("lightly.loss")
lightly_utils = pytest.importorskip("lightly.models.utils")

from ssl_platform import losses  # noqa: E402
from ssl_platform.masking.mask import from_dense  # noqa: E402
from ssl_platform.nn.clustering import sinkhorn  # noqa: E402


def leaves(count: int, *shape: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(count)]


def check(
    ours: Callable[..., Tensor], theirs: Callable[..., Tensor], inputs: Sequence[Tensor], atol: float = 1e-9
) -> None:
    """Equal loss and equal gradient of every input."""
    mine, yours = ours(*inputs), theirs(*inputs)
    torch.testing.assert_close(mine, yours.reshape(()), rtol=1e-6, atol=atol)
    for a, b in zip(
        torch.autograd.grad(mine, inputs, allow_unused=True),
        torch.autograd.grad(yours.sum(), inputs, allow_unused=True),
        strict=True,
    ):
        zero = torch.zeros_like(inputs[0])
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(2, 4), (16, 8), (33, 128)])
def test_nt_xent(shape: tuple[int, int], temperature: float) -> None:
    theirs = lightly_loss.NTXentLoss(temperature=temperature)
    check(lambda a, b: losses.nt_xent(a, b, temperature), theirs, leaves(2, *shape))


@pytest.mark.parametrize("shape", [(16, 8), (8, 32), (2, 5)])
def test_vicreg(shape: tuple[int, int]) -> None:
    check(losses.vicreg, lightly_loss.VICRegLoss(), leaves(2, *shape))
    theirs = lightly_loss.VICRegLoss(lambda_param=10.0, mu_param=5.0, nu_param=2.0, eps=1e-3)
    check(lambda a, b: losses.vicreg(a, b, sim=10.0, var=5.0, cov=2.0, eps=1e-3), theirs, leaves(2, *shape, seed=1))


def test_byol() -> None:
    cosine = lightly_loss.NegativeCosineSimilarity()
    check(losses.byol_regression, lambda p, z: 2 + 2 * cosine(p, z.detach()), leaves(2, 16, 8))


@pytest.mark.parametrize("local", [0, 3])
def test_dino_loss_and_centre(local: int) -> None:
    theirs = lightly_loss.DINOLoss(output_dim=24, center_momentum=0.9).double()
    centre = torch.zeros(24, dtype=torch.float64)
    for step, temperature in enumerate((0.04, 0.05, 0.07)):
        teacher = [t.detach() for t in leaves(2, 8, 24, seed=10 + step)]
        student = leaves(2 + local, 8, 24, seed=20 + step)
        frozen = theirs.center.clone()

        def ours(*views: Tensor) -> Tensor:
            probs = [losses.centred_softmax(t, centre, temperature) for t in teacher]  # noqa: B023
            return losses.dino_cross_entropy(views, probs, 0.1)

        def published(*views: Tensor) -> Tensor:
            theirs.center.copy_(frozen)  # noqa: B023
            return theirs(teacher, list(views), teacher_temp=temperature)  # noqa: B023

        check(ours, published, student)
        centre = losses.moved_centre(centre, torch.stack(teacher), 0.9)
        torch.testing.assert_close(centre, theirs.center.flatten())


@pytest.mark.parametrize("local", [0, 4])
@pytest.mark.parametrize("queue", [0, 12])
def test_swav(local: int, queue: int) -> None:
    theirs = lightly_loss.SwaVLoss(temperature=0.1, sinkhorn_epsilon=0.05, sinkhorn_iterations=3)
    scores = [F.normalize(s, dim=1).detach().requires_grad_() for s in leaves(2 + local, 10, 15)]
    queued = [F.normalize(s, dim=1).detach() for s in leaves(2, queue, 15, seed=5)] if queue else None

    def ours(*views: Tensor) -> Tensor:
        codes = [
            sinkhorn(view, 0.05, 3, replicated=None if queued is None else queued[crop])
            for crop, view in enumerate(views[:2])
        ]
        return losses.swapped_prediction(views, codes, 0.1)

    check(ours, lambda *views: theirs(list(views[:2]), list(views[2:]), queued), scores)


def test_mae_pixel_loss() -> None:
    prediction, target = leaves(2, 4, 9, 48)
    masked = torch.rand(4, 9) < 0.75

    def theirs(p: Tensor) -> Tensor:
        normalised = lightly_utils.normalize_mean_var(target.detach(), dim=-1)
        return F.mse_loss(p[masked], normalised[masked])

    check(lambda p: losses.masked_mean(losses.patch_mse(p, target), masked), theirs, [prediction])


def test_capi_codes_and_loss() -> None:
    theirs = lightly_loss.CAPILoss(teacher_temperature=0.06, student_temperature=0.12, sinkhorn_iterations=3)
    teacher = F.normalize(leaves(1, 12, 5, 7)[0].detach(), dim=-1)

    def ours(student: Tensor) -> Tensor:
        return losses.soft_cross_entropy(student, sinkhorn(teacher, 0.06, 3, per_position=True), 0.12)

    # lightly adds 1e-8 to the sums it divides by.
    check(ours, lambda student: theirs(teacher, student), leaves(1, 12, 5, 7, seed=3), atol=1e-5)


def test_ibot_patch_loss() -> None:
    theirs = lightly_loss.IBOTPatchLoss(output_dim=6).double()
    chosen = torch.rand(4, 9, generator=torch.Generator().manual_seed(0)) < 0.5
    chosen[0] = False  # one sample without any masked token
    mask = from_dense(chosen, 9)
    (teacher,) = (t.detach() for t in leaves(1, 4, 9, 6))
    probs = mask.gather(losses.centred_softmax(teacher, torch.zeros(6, dtype=torch.float64), 0.04))
    check(
        lambda student: losses.masked_distillation(mask.gather(student), probs, 0.1, mask.valid),
        lambda student: theirs(teacher[chosen], student[chosen], chosen.view(4, 3, 3)),
        leaves(1, 4, 9, 6, seed=2),
    )


@pytest.mark.parametrize("shape", [(2, 3), (16, 8), (33, 128)])
def test_koleo(shape: tuple[int, int]) -> None:
    check(losses.koleo, lightly_loss.KoLeoLoss(), leaves(1, *shape), atol=1e-7)


@pytest.mark.parametrize("iterations", [0, 3])
@pytest.mark.parametrize("weight", [0.0, 1.0, 5.0])
def test_msn(iterations: int, weight: float) -> None:
    theirs = lightly_loss.MSNLoss(temperature=0.1, sinkhorn_iterations=iterations, regularization_weight=weight)
    anchors, targets, prototypes = leaves(1, 24, 7)[0], leaves(1, 8, 7, seed=1)[0], leaves(1, 11, 7, seed=2)[0]

    def ours(a: Tensor, q: Tensor) -> Tensor:
        unit = F.normalize(q, dim=1)
        probs = (F.normalize(targets.detach(), dim=1) @ unit.detach().T / 0.1).softmax(1)
        codes = losses.sharpened(probs, 0.25)
        codes = sinkhorn(codes.log(), 1.0, iterations) if iterations else codes
        scores = F.normalize(a, dim=1) @ unit.T
        return losses.soft_cross_entropy(scores, codes.repeat(3, 1), 0.1) + weight * losses.mean_entropy_gap(
            scores, 0.1
        )

    check(ours, lambda a, q: theirs(a, targets, q), [anchors, prototypes])
