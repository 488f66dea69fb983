"""Card B14, VICRegL. What dense tasks gain over VICReg is not shown at toy size: see docs/acceptance.md."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ssl_platform.nn.matching import feature_distance, nearest_pairs
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.dense.vicregl import VICRegL
from ssl_platform.testing.objectives import ITEMS, built, small, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Features, Geometry, View, Views


def views_of(method) -> Views:
    return small_views(method, toy_batch(8, items=ITEMS))


def maps(seed: int, count: int = 9) -> Tensor:
    return torch.randn(6, count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_alpha_1_is_vicreg_with_averaged_covariances() -> None:
    """The published code averages the covariances of two views, VICReg's adds them: half the weight."""
    local, backbone = built("vicregl", alpha=1.0)
    whole, _ = built("vicreg", proj_dims=local.config.proj_dims, cov=0.5)
    whole.load_state_dict({k: v for k, v in local.state_dict().items() if k in whole.state_dict()})
    views = views_of(local)
    torch.testing.assert_close(
        total_of(local(backbone, views)).total, total_of(whole(backbone, views)).total, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("crops", [0, 2])
def test_alpha_0_gives_the_global_head_no_gradient(crops: int) -> None:
    method, backbone = built("vicregl", alpha=0.0, local_crops=crops)
    loss = total_of(method(backbone, views_of(method)))
    loss.total.backward()
    assert all(p.grad is None or not p.grad.any() for p in method.projector.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.map_projector.parameters())
    torch.testing.assert_close(loss.total, loss.terms["places"] + loss.terms["likeness"])
    assert 0 < float(loss.terms["touching"]) <= 1


def test_crops_far_apart_still_give_their_pairs_and_none_touches() -> None:
    method, backbone = built("vicregl")
    a, b = views_of(method)
    assert b.geometry is not None
    away = Geometry(b.geometry.matrix, b.geometry.offset + 100, b.geometry.item)
    loss = total_of(method(backbone, Views([a, b.replace(geometry=away)])))
    assert loss.total.isfinite() and float(loss.terms["touching"]) == 0
    same = total_of(method(backbone, Views([a, a])))
    assert float(same.terms["touching"]) == 1


def test_pairs_are_cut_to_the_matches_and_no_gradient_flows_through_the_choice() -> None:
    method = small("vicregl")
    z_a, z_b = maps(0).requires_grad_(), maps(1)
    distance = feature_distance(z_a, z_b)
    assert not distance.requires_grad
    pairs = nearest_pairs(distance, 4)
    method.matched(z_a, z_b, distance, 4).backward()
    asked = torch.zeros(6, 9, dtype=torch.bool).scatter_(1, pairs.first, True)
    back = nearest_pairs(distance.mT, 4).second
    asked = asked | torch.zeros(6, 9, dtype=torch.bool).scatter_(1, back, True)
    assert z_a.grad is not None
    assert torch.equal(z_a.grad.abs().sum(-1) > 0, asked)


@pytest.mark.parametrize("crops", [0, 1])
def test_against_lightly(crops: int) -> None:
    """All three losses and their gradients; lightly halves the covariance's weight as we do, and keeps one number."""
    lightly = pytest.importorskip("lightly.loss.vicregl_loss")
    matches = 4
    method = VICRegL(VICRegL.Config(alpha=0.6, matches=(matches, matches), local_crops=crops))
    sides = [3, 3, *[2] * crops]
    z = [maps(10 + i, 1)[:, 0].requires_grad_() for i in range(len(sides))]
    tokens = [maps(20 + i, n * n).requires_grad_() for i, n in enumerate(sides)]
    # Square cells, so that the published distance is ours up to a factor; of unlike size, so that none are equal.
    offsets = [torch.rand(6, 2, generator=torch.Generator().manual_seed(i)) for i in range(len(sides))]
    views, grids = [], []
    for n, offset, cell in zip(sides, offsets, (1.0, 1.37, 0.83), strict=False):
        centres = torch.cartesian_prod(*[(torch.arange(n) + 0.5) / n] * 2).expand(6, -1, -1)
        geometry = Geometry(torch.eye(2).expand(6, -1, -1) * n * cell, offset, torch.zeros(6, dtype=torch.int64))
        views.append((View(torch.zeros(6, 1, n, n), geometry=geometry), centres, (n, n)))
        grids.append(geometry.to_source(centres).view(6, n, n, 2))

    def ours(*parts: Tensor) -> Tensor:
        whole, local = parts[: len(z)], parts[len(z) :]
        pairs = [(i, j) for i in range(2) for j in range(i + 1, len(z))]
        made = [
            (view, Features(map_[:, 0], map_[:, :0], map_, centres, None, grid), map_)
            for (view, centres, grid), map_ in zip(views, local, strict=True)
        ]
        found = [sum(method.pair_loss(made[i], made[j], matches)[:2]) for i, j in pairs]
        # lightly counts a pair of global views in both orders, and one with a local view once.
        weight = [2.0 if j < 2 else 1.0 for _, j in pairs]
        dense = sum(w * f for w, f in zip(weight, found, strict=True)) / sum(weight)
        both = [pair for pair, w in zip(pairs, weight, strict=True) for _ in range(int(w))]
        return 0.6 * method.whole_loss(whole, both) + 0.4 * dense

    def theirs(*parts: Tensor) -> Tensor:
        shaped = [(w, m.view(6, n, n, 5)) for w, m, n in zip(parts[: len(z)], parts[len(z) :], sides, strict=True)]
        loss = lightly.VICRegLLoss(alpha=0.6, num_matches=(matches, matches), nu_param=1.0)
        if crops:
            return loss(shaped[:2], grids[:2], shaped[2:], grids[2:])
        return loss(shaped, grids)

    inputs = [*z, *tokens]
    mine, yours = ours(*inputs), theirs(*inputs)
    torch.testing.assert_close(mine, yours.reshape(()), rtol=1e-6, atol=1e-9)
    for a, b in zip(torch.autograd.grad(mine, inputs), torch.autograd.grad(yours.sum(), inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_constant_embeddings_cost_the_variance_hinges() -> None:
    method, backbone = built("vicregl")
    with torch.no_grad():
        for head in (method.projector, method.map_projector):
            for p in head[-1].parameters():
                p.zero_()
    loss = total_of(method(backbone, views_of(method))).total
    assert float(loss.detach()) == pytest.approx(method.trivial(8), rel=1e-5)
