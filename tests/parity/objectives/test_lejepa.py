"""Card B15. The correlation of loss and probe over a sweep is a figure, no test; several processes: tests/ddp."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.losses import sigreg, view_mean_mse
from ssl_platform.losses.sigreg import frequencies, statistic_of_constant
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def directions(count: int, dim: int, seed: int = 1) -> Tensor:
    return F.normalize(random(count, dim, seed=seed), dim=1)


@pytest.mark.parametrize("count", [64, 256, 1024])
def test_normal_samples_cost_the_same_whatever_their_number(count: int) -> None:
    """`sum_j w_j (1 - exp(-t_j^2))` in expectation."""
    z = random(200, count, 8, seed=count, dtype=torch.float32)
    expected = sum(w * (1 - float(torch.tensor(-(t**2)).exp())) for t, w in zip(*frequencies(17, 3.0), strict=True))
    assert expected == pytest.approx(1.0525, abs=1e-4)
    assert sigreg(z, torch.eye(8)).item() == pytest.approx(expected, abs=0.05)


def test_zeros_cost_more_the_more_there_are() -> None:
    assert statistic_of_constant() == pytest.approx(0.40205, abs=1e-5)
    for count in (8, 64):
        z = torch.zeros(count, 4, dtype=torch.float64)
        assert sigreg(z, directions(16, 4)).item() == pytest.approx(0.40205 * count, rel=1e-4)
        assert sigreg(z, directions(16, 4), batch_scaled=False).item() == pytest.approx(0.40205, rel=1e-4)
    assert small("lejepa").trivial(64) == pytest.approx(0.05 * 0.40205 * 64, rel=1e-4)


def test_a_rotation_turns_only_the_directions() -> None:
    z, rotation = 0.5 * random(32, 3) + 0.3, torch.linalg.qr(random(3, 3, seed=4)).Q
    some = directions(5, 3)
    torch.testing.assert_close(sigreg(z @ rotation, some), sigreg(z, some @ rotation.T))
    many = directions(4000, 3)
    assert sigreg(z @ rotation, many).item() == pytest.approx(sigreg(z, many).item(), rel=0.02)


def test_equals_the_integral_by_loops() -> None:
    z, some = random(6, 3), directions(4, 3)
    step = 3.0 / 16
    total = 0.0
    for a in some:
        for knot in range(17):
            t = torch.tensor(knot * step, dtype=torch.float64)
            target = (-t.square() / 2).exp()
            angles = torch.stack([t * (a @ row) for row in z])
            error = (angles.cos().mean() - target) ** 2 + angles.sin().mean() ** 2
            total += float(error * target) * step * (1 if knot in (0, 16) else 2)
    assert sigreg(z, some).item() == pytest.approx(6 * total / 4, rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: sigreg(x, some), (z.requires_grad_(),))


@pytest.mark.parametrize("local", [1, 6])
def test_parity_with_lightly(local: int) -> None:
    module = pytest.importorskip("lightly.loss.lejepa_loss")
    theirs = module.LeJEPALoss(lambda_param=0.05, sigreg_num_vectors=9).double()
    some = directions(9, 5)
    theirs.sigreg._generate_unit_vectors = lambda *_, **__: some.T
    z = random(2 + local, 16, 5).requires_grad_()
    ours = 0.95 * view_mean_mse(z.unbind(), 2) + 0.05 * sigreg(z, some)
    published = theirs(global_proj=z[:2], local_proj=z[2:])
    torch.testing.assert_close(ours, published, rtol=1e-5, atol=0)  # lightly keeps its knots in float32
    torch.testing.assert_close(*(torch.autograd.grad(loss, z)[0] for loss in (ours, published)), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("start", ["cube", "line"])
def test_descent_makes_points_normal(start: str) -> None:
    """Plain gradient descent with a falling rate, from near the origin: far away the statistic is flat."""
    z = torch.rand(512, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    if start == "line":
        z = z[:, :1] * torch.tensor([1.0, 0.5])
    for number in range(150):
        z.requires_grad_()
        some = F.normalize(random(8, 2, seed=number, dtype=torch.float32), dim=1)
        (slope,) = torch.autograd.grad(sigreg(z, some), z)
        z = (z - 2 * (1 - number / 150) * slope).detach()
    assert z.mean(dim=0).abs().max() < 0.1
    assert (torch.cov(z.T) - torch.eye(2)).abs().max() < 0.1


def test_directions_belong_to_the_place_in_the_run() -> None:
    method, backbone = small("lejepa"), small_backbone()
    method.build(backbone, {})
    views, later = (small_views(method, toy_batch(4, start=start)) for start in (0, 4))
    some = method._directions(views, 32)
    torch.testing.assert_close(some.norm(dim=1), torch.ones(len(some)))
    assert torch.equal(some, method._directions(small_views(method, toy_batch(8)), 32))
    assert not torch.equal(some, method._directions(later, 32))
    assert torch.equal(total_of(method(backbone, views)).total, total_of(method(backbone, views)).total)


@pytest.mark.slow
def test_without_sigreg_it_collapses_and_with_it_not() -> None:
    def spread(weight: float) -> float:
        torch.manual_seed(0)
        method, backbone = small("lejepa", regularisation=weight), small_backbone()
        views = ViewsConfig(local_size=8, strength=0.4)
        batches = lambda n: toy_batch(32, start=32 * (n % 2))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 150, window=(16, 16), lr=3e-3, views=views)
        assert done.views is not None
        with torch.no_grad():
            return float(method.projector(backbone(done.views[0]).pooled).std(dim=0).mean())

    assert spread(0.0) < 1e-2
    assert min(spread(0.02), spread(0.05)) > 0.1
