"""Card 019. The batch of 32 that must not collapse is one of slides; several processes: tests/ddp."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ssl_platform.losses import second_moment, tico_terms
from ssl_platform.measures import dimension_std
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.learning import SETUPS, prepare
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrast_of_collapsed_and_of_isotropic_embeddings() -> None:
    collapsed = random(1, 8).expand(16, 8)
    terms = tico_terms(collapsed, 3 * collapsed, second_moment(collapsed))
    assert terms.contrast.item() == pytest.approx(1) and terms.invariance.item() == pytest.approx(0, abs=1e-12)
    isotropic = torch.cat((torch.eye(8), -torch.eye(8))).double()
    assert tico_terms(isotropic, isotropic, second_moment(isotropic)).contrast.item() == pytest.approx(1 / 8)
    assert small("tico", contrast=16.0).trivial(8) == 1.5  # 1 + rho / D with 32 dimensions
    assert tico_terms(isotropic, -isotropic, second_moment(isotropic)).invariance.item() == pytest.approx(2)


def test_contrast_is_the_mean_squared_cosine_with_the_past() -> None:
    """With C a decayed mean of z z', `z C z` is the decayed mean of squared cosines."""
    batches = [random(6, 4, seed=seed) for seed in range(3)]
    unit = [z / z.norm(dim=1, keepdim=True) for z in batches]
    covariance = torch.zeros(4, 4, dtype=torch.float64)
    for z in batches:
        covariance = 0.9 * covariance + 0.1 * second_moment(z)
    expected = 0.0
    for past, z in enumerate(unit):
        weight = 0.1 * 0.9 ** (2 - past)
        for now in unit[2]:
            expected += weight * sum(float(now @ old) ** 2 for old in z) / 6 / 6
    assert tico_terms(batches[2], batches[2], covariance).contrast.item() == pytest.approx(expected)


def test_parity_with_lightly() -> None:
    """Equal losses over several steps, and equal gradients where this step's second moment is held, as lightly does."""
    theirs = pytest.importorskip("lightly.loss").TiCoLoss(beta=0.9, rho=20.0)
    covariance = torch.zeros(5, 5, dtype=torch.float64)
    for step in range(3):
        student, target = random(16, 5, seed=step).requires_grad_(), random(16, 5, seed=9 + step)
        covariance = torch.lerp(second_moment(student), covariance, 0.9).detach()
        terms = tico_terms(student, target, covariance)
        ours, published = terms.invariance + 20 * terms.contrast, theirs(student, target)
        torch.testing.assert_close(ours, published, rtol=1e-6, atol=0)
        (mine,), (yours,) = torch.autograd.grad(ours, student), torch.autograd.grad(published, student)
        torch.testing.assert_close(mine, yours, rtol=1e-6, atol=1e-12)


def test_this_steps_second_moment_carries_its_gradient() -> None:
    past = second_moment(random(9, 4, seed=5))

    def loss(z: Tensor, target: Tensor) -> Tensor:
        return tico_terms(z, target, torch.lerp(second_moment(z), past, 0.9)).contrast

    assert torch.autograd.gradcheck(loss, (random(6, 4).requires_grad_(), random(6, 4, seed=1)))


def test_covariance_is_a_saved_second_moment() -> None:
    torch.manual_seed(0)
    method, backbone = small("tico"), small_backbone()
    fit(method, backbone, toy_layout(2), lambda n: toy_batch(8, start=8 * (n % 2)), 6, window=(16, 16))
    c = method.covariance
    torch.testing.assert_close(c, c.T)
    assert torch.linalg.eigvalsh(c).min() > -1e-6
    assert float(c.trace()) == pytest.approx(1 - 0.9**6, rel=1e-4)  # towards 1

    again = small("tico")
    again.build(backbone, {})
    again.load_state_dict(method.state_dict())
    views = small_views(method, toy_batch(8))
    assert torch.equal(total_of(again(backbone, views)).total, total_of(method(backbone, views)).total)


def test_accumulated_micro_batches_count_once() -> None:
    method, backbone = small("tico"), small_backbone()
    method.build(backbone, {})
    moments = [second_moment(random(4, 32, seed=seed)).float() for seed in range(2)]
    method.after_step(Step(0, 10), backbone, [{"second_moment": m} for m in moments], [])
    torch.testing.assert_close(method.covariance, 0.1 * (moments[0] + moments[1]) / 2)


@pytest.mark.slow
def test_a_batch_of_32_does_not_collapse_and_beats_the_control_without_contrast() -> None:
    accuracy, spread = {}, {}
    for contrast in (8.0, 0.0):
        made = prepare("tico", SETUPS["wholeslide"], settings={"objective.contrast": contrast}, steps=150)
        views = made.train().views
        assert views is not None
        method, backbone = made.model.objective, made.model.backbone
        with torch.no_grad():
            spread[contrast] = float(dimension_std(method.projector(backbone(views[0]).pooled)).mean())
        accuracy[contrast] = made.probe(backbone)
    assert spread[8.0] > 0.02
    assert accuracy[8.0] > accuracy[0.0]
