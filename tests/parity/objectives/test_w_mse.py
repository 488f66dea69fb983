"""Card 015. Ranks are compared on synthetic vectors; several processes: tests/ddp."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ssl_platform.config.schema import RunConfig
from ssl_platform.losses import w_mse, whitened
from ssl_platform.measures import effective_rank
from ssl_platform.testing.objectives import small, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.train.scale import RunSize, shrink


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def order(count: int, seed: int = 0) -> list[Tensor]:
    return [torch.randperm(count, generator=torch.Generator().manual_seed(seed))]


def by_loops(views: list[Tensor], orders: list[Tensor], size: int) -> float:
    """One sub-batch, one pair and one sample at a time, whitening with an inverse rather than by substitution."""
    values = []
    for one in orders:
        for sub in one.split(size):
            white = []
            for z in views:
                factor = torch.linalg.cholesky(torch.cov(z[sub].T))
                white.append((z[sub] - z[sub].mean(dim=0)) @ torch.linalg.inv(factor).T)
            for a in range(len(views)):
                for b in range(a + 1, len(views)):
                    for x, y in zip(white[a], white[b], strict=True):
                        values.append(2 - 2 * float(x @ y / (x.norm() * y.norm())))
    return sum(values) / len(values)


def test_whitened_rows_have_zero_mean_and_identity_covariance() -> None:
    z = random(256, 128, dtype=torch.float32) @ random(128, 128, seed=1, dtype=torch.float32) / 8 + 2
    white = whitened(z.double()).float()
    assert white.mean(dim=0).abs().max() < 1e-5
    assert (torch.cov(white.T) - torch.eye(128)).abs().max() < 1e-4
    shrunk = torch.cov(whitened(z.double(), eps=0.5).T)
    assert torch.linalg.eigvalsh(shrunk).max() < 2  # lambda / (lambda / 2 + 1 / 2)


def test_equals_loops_over_sub_batches_pairs_and_samples() -> None:
    views = [random(24, 3, seed=seed) + random(24, 3) for seed in range(1, 5)]
    orders = [*order(24), *order(24, 1)]
    assert w_mse(views, orders, 8).item() == pytest.approx(by_loops(views, orders, 8), rel=1e-9)
    views = [v[:14].clone().requires_grad_() for v in views[:2]]
    assert torch.autograd.gradcheck(lambda a, b: w_mse([a, b], order(14), 7), views)
    assert torch.autograd.gradcheck(lambda a, b: w_mse([a, b], order(14), 7, 0.1, False), views)


def test_parity_with_lightly() -> None:
    module = pytest.importorskip("lightly.loss.wmse_loss")
    theirs = module.WMSELoss(embedding_dim=8, w_size=32, num_samples=3, track_running_stats=False)
    z = random(96, 8).requires_grad_()
    ours, published = w_mse(z.chunk(3), order(32), 32), theirs(z)
    torch.testing.assert_close(ours, published.to(ours.dtype), rtol=1e-6, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(loss, z)[0] for loss in (ours, published)), rtol=1e-6, atol=1e-9)


def test_identical_views_cost_nothing_and_triangular_maps_change_nothing() -> None:
    a, b = random(64, 8), random(64, 8) + 0.5 * random(64, 8, seed=1)
    orders = order(64)
    assert w_mse([a, a.clone()], orders, 16).item() == pytest.approx(0, abs=1e-12)
    matrix = random(8, 8, seed=3).tril(-1) + torch.diag(torch.linspace(0.5, 2, 8, dtype=torch.float64))
    loss = w_mse([a, b], orders, 16)
    for normalise in (True, False):
        moved = w_mse([z @ matrix.T + 3 for z in (a, b)], orders, 16, normalise=normalise)
        torch.testing.assert_close(moved, w_mse([a, b], orders, 16, normalise=normalise), rtol=1e-4, atol=1e-4)
    turned = w_mse([z @ torch.linalg.qr(random(8, 8, seed=4)).Q for z in (a, b)], orders, 16)
    assert abs(float(turned - loss)) < 0.2  # a rotation is no exact symmetry of the Cholesky whitening


def test_sub_batches_not_larger_than_the_embedding_are_refused() -> None:
    views = [random(64, 8), random(64, 8, seed=1)]
    with pytest.raises(ValueError, match="whitening 8 dimensions needs sub-batches of more than 8 samples, got 8"):
        w_mse(views, order(64), 8)
    with pytest.raises(ValueError, match=r"got 6: raise data\.batch_size"):
        w_mse([v[:6] for v in views], order(6), 16)
    assert small("w-mse", whitened=64).plan(small("w-mse", whitened=64).config).min_batch == 128


def test_a_singular_covariance_gives_nan_rather_than_a_number() -> None:
    z = torch.zeros(64, 8, dtype=torch.float64)
    assert w_mse([z, z], order(64), 16).isnan()
    assert w_mse([z, z], order(64), 16, eps=0.1, normalise=False).item() == 0


def test_orders_are_permutations_drawn_by_the_samples() -> None:
    method = small("w-mse", partitions=2)
    first, second = method._orders(small_views(method, toy_batch(32)))
    assert torch.equal(first.sort().values, torch.arange(32)) and not torch.equal(first, second)
    assert torch.equal(first, method._orders(small_views(method, toy_batch(32)))[0])
    assert not torch.equal(first, method._orders(small_views(method, toy_batch(32, start=32)))[0])


def test_whitening_keeps_the_rank_that_plain_agreement_loses() -> None:
    """Twin of the card's CIFAR line: the embedding keeps all its directions, without whitening one is left."""
    x = random(64, 8)
    rank = {}
    for whiten in (True, False):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)).double()
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
        for number in range(150):
            views = [net(x + 0.3 * random(64, 8, seed=2 * number + view)) for view in range(2)]
            loss = w_mse(views, order(64, number), 16) if whiten else (views[0] - views[1]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            z = net(x)
            rank[whiten] = float(effective_rank(whitened(z))) if whiten else float(effective_rank(z))
            spectrum = torch.linalg.eigvalsh(torch.cov(z.T))
        if whiten:
            assert spectrum.min() > 1e-3 * spectrum.max()
    assert rank[True] > 3.9 and rank[False] < 1.5


@pytest.mark.parametrize(("batch", "dims"), [(512, 64), (100, 32), (8, 4), (2, 1)])
def test_small_runs_whiten_no_more_than_their_batch_allows(batch: int, dims: int) -> None:
    kind = type(small("w-mse"))
    config = RunConfig(objective={"name": "w-mse"})
    shrink(config, kind.Config().model_dump(), RunSize(10_000, batch, 1000, 384, 12, True))
    settings = kind.Config(**{key: value for key, value in config.objective.items() if key != "name"})
    assert settings.model_dump()["whitened"] == dims
    assert kind.plan(settings).min_batch <= batch
