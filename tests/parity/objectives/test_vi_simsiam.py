"""Card 046. Corruption of the synthetic lines is a blend with another image; several processes: tests/ddp."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ssl_platform.losses import log_power_spherical, log_uniform_sphere
from ssl_platform.measures import knn_vote
from ssl_platform.objectives.distillation.vi_simsiam import VISimSiam
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, View, Views
from ssl_platform.views.maker import ViewMaker


def vi(**settings: object) -> VISimSiam:
    method = small("vi-simsiam", **settings)
    assert isinstance(method, VISimSiam)
    return method


@pytest.mark.parametrize("kappa", [0.0, 0.5, 4.0, 30.0])
def test_density_integrates_to_one_on_the_sphere(kappa: float) -> None:
    """Monte Carlo over uniform points of the sphere in three dimensions, whose area is 4 pi."""
    points = torch.nn.functional.normalize(
        torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1
    )
    log_density = log_power_spherical(points[:, 2], torch.tensor(kappa), 3)
    assert float(log_density.exp().mean()) * 4 * math.pi == pytest.approx(1, rel=0.01)
    if kappa == 0:
        torch.testing.assert_close(log_density, torch.full_like(log_density, -math.log(4 * math.pi)))


@pytest.mark.parametrize("dim", [2, 3, 17, 2048])
def test_without_concentration_it_is_uniform(dim: int) -> None:
    found = log_power_spherical(torch.tensor([-0.9, 0.0, 1.0]), torch.zeros(3), dim)
    torch.testing.assert_close(found, torch.full_like(found, log_uniform_sphere(dim)))


@pytest.mark.parametrize(("dim", "kappa"), [(4, 2.0), (9, 20.0), (33, 5.0)])
def test_expected_cosine_by_integration(dim: int, kappa: float) -> None:
    """Along the mean direction a uniform sphere has density `(1 - t^2)^((D - 3) / 2)`."""
    t = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1]
    weight = (1 - t.square()).pow((dim - 3) / 2)
    density = log_power_spherical(t, torch.tensor(kappa), dim)
    density = (density - log_uniform_sphere(dim)).exp() * weight / weight.sum()
    assert float(density.sum()) == pytest.approx(1, rel=1e-4)
    assert float((density * t).sum()) == pytest.approx(kappa / (kappa + dim - 1), rel=1e-4)


def test_a_given_concentration_ranks_pairs_by_cosine_as_simsiam_does() -> None:
    cosine = torch.linspace(-1, 1, 101, dtype=torch.float64)
    for kappa in (0.1, 3.0, 1e4):
        density = log_power_spherical(cosine, torch.tensor(kappa), 64)
        assert (density.diff() > 0).all()


def test_finite_at_the_papers_size_and_at_the_opposite_point() -> None:
    cosine = torch.tensor([-1.0, 0.0, 1.0, 0.9]).requires_grad_()
    for kappa in (0.0, 1.0, 1e4):
        concentration = torch.full((4,), kappa, requires_grad=True)
        found = log_power_spherical(cosine, concentration, 2048)
        slopes = torch.autograd.grad(found.sum(), [cosine, concentration])
        assert all(torch.isfinite(x).all() for x in (found, *slopes))


def test_targets_carry_no_gradient_and_the_concentration_head_does() -> None:
    torch.manual_seed(0)
    method, backbone = vi(), small_backbone()
    method.build(backbone, {})
    prediction, target = torch.randn(8, 32, requires_grad=True), torch.randn(8, 32, requires_grad=True)
    kappa = method.concentration(torch.randn(8, 32))
    loss = method.surprise(prediction, kappa, target)
    head = list(method.concentration_head.parameters())
    slopes = torch.autograd.grad(loss, [prediction, target, *head], allow_unused=True)
    assert slopes[1] is None and slopes[0].abs().sum() > 0 and all(s.abs().sum() > 0 for s in slopes[2:])


@pytest.mark.parametrize("joint", [False, True])
def test_the_concentration_shapes_the_encoder_only_where_it_is_asked_to(joint: bool) -> None:
    method = vi(joint=joint)
    method.build(small_backbone(), {})
    projection = torch.randn(8, 32, requires_grad=True)
    (slope,) = torch.autograd.grad(method.concentration(projection).square().sum() + 0 * projection.sum(), [projection])
    assert bool(slope.abs().sum() > 0) is joint


def test_loss_by_loops_and_the_exported_uncertainty() -> None:
    torch.manual_seed(0)
    method, backbone = vi(), small_backbone()
    method.build(backbone, {})
    views = small_views(method, toy_batch(4))
    with torch.no_grad():
        total = method(backbone, views).total
        z = [method.projector(backbone(v).pooled) for v in views]
        p = [method.predictor(x) for x in z]
        kappa = [method.concentration(x) for x in z]
    expected, b = 0.0, 31 / 2
    for one, other in ((0, 1), (1, 0)):
        for mu, k, target in zip(p[one], kappa[one].tolist(), z[other], strict=True):
            cosine = float(mu @ target / (mu.norm() * target.norm()))
            a = b + k
            log_n = (a + b) * math.log(2) + b * math.log(math.pi) + math.lgamma(a) - math.lgamma(a + b)
            area = math.log(2) + 16 * math.log(math.pi) - math.lgamma(16)
            expected -= (k * math.log(1 + cosine) - log_n + area) / 8
    assert float(total) == pytest.approx(expected, rel=1e-4)
    assert set(method.export(backbone).parts) == {"projector", "concentration"}


def blended(view: View, draws: str, other: int = 1) -> tuple[View, Tensor]:
    """Half of the samples mostly covered by another sample's image; which ones."""
    hit = view.random.chance(draws, 0.5)
    mixed = 0.3 * view.x + 0.7 * view.x.roll(other, dims=0)
    return view.replace(x=torch.where(hit[:, None, None, None], mixed, view.x)), hit


class Blending(ViewMaker):
    """Views half of which are blends, the two of a sample with different others."""

    def __call__(self, batch: Batch) -> Views:
        made = super().__call__(batch)
        return Views([blended(view, "blend", 1 + number)[0] for number, view in enumerate(made)])


def auroc(score: Tensor, positive: Tensor) -> float:
    """Probability that a positive scores above a negative."""
    above = score[positive][:, None] > score[~positive][None]
    return float(above.double().mean())


@pytest.mark.slow
def test_corrupted_samples_get_less_concentration_and_it_tells_who_is_classified_rightly() -> None:
    torch.manual_seed(0)
    method, backbone = vi(), small_backbone()
    maker = Blending(toy_layout(2), vi().plan(vi().config), seed=0, window=(16, 16))
    fit(
        method,
        backbone,
        toy_layout(2),
        lambda n: toy_batch(32, start=32 * n),
        300,
        window=(16, 16),
        lr=2e-3,
        maker=maker,
    )
    method.eval(), backbone.eval()
    batch = toy_batch(512, start=50_000)
    clean = ViewMaker.__call__(maker, batch)[0]
    view, hit = blended(clean, "test")
    with torch.no_grad():
        features = backbone(view).pooled
        kappa = method.concentration(method.projector(features))
        bank = backbone(clean).pooled
    assert batch.label is not None
    votes = knn_vote(features - bank.mean(0), bank - bank.mean(0), batch.label, 10)
    right = votes.argmax(dim=1) == batch.label
    sure = kappa > kappa.median()
    assert auroc(kappa, ~hit) > 0.7
    assert right[sure].float().mean() > right[~sure].float().mean()
