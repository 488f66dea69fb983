"""Card 012. ImageNet and SSv2 need their data; the probe on toy data is the twin.

That a sampler reports its mix of sources is no line of the objective: it never knows where its samples came from.
"""

from __future__ import annotations

import math

import pytest
import torch

from ssl_platform.objectives.masked.mae import MAE
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch


def built(rank: int = 2, **settings):
    torch.manual_seed(0)
    method, backbone = small("vic-mae", **settings), small_backbone(rank)
    method.build(backbone, {})
    torch.nn.init.normal_(method.decoder.head.weight, std=0.1)
    return method, backbone


@pytest.mark.parametrize("valid", [False, True])
def test_without_contrast_it_is_the_mean_of_two_masked_autoencoders(valid: bool) -> None:
    method, backbone = built(contrast=0.0)
    views = list(small_views(method, toy_batch(4)))
    if valid:
        mask = torch.ones(4, 16, 16, dtype=torch.bool)
        mask[:2, 6:] = False
        views = [views[0].replace(valid=mask), views[1].replace(valid=mask.flip(2).roll(1, 0))]
    mae = MAE(MAE.Config(mask_ratio=0.5))
    mae.decoder = method.decoder
    expected = sum(mae(backbone, [view]).total for view in views) / 2
    torch.testing.assert_close(method(backbone, views).total, expected)


@pytest.mark.parametrize("batch", [2, 5])
def test_identical_projections_cost_the_logarithm_of_all_candidates(batch: int) -> None:
    method, backbone = built()
    method.projector = torch.nn.Sequential(torch.nn.Linear(backbone.embed_dim, 8))
    torch.nn.init.zeros_(method.projector[0].weight)
    loss = method(backbone, small_views(method, toy_batch(batch)))
    assert abs(float(loss.terms["contrast"].detach()) - math.log(1 + (2 * batch - 2))) < 1e-5


def test_contrast_is_the_formula_over_both_views_of_all_other_samples() -> None:
    """Written again with loops in float64 from the means of visible tokens."""
    method, backbone = built()
    method.double(), backbone.double()
    views = [v.replace(x=v.x.double()) for v in small_views(method, toy_batch(3))]
    projected, run = [], method.projector.forward
    method.projector.forward = lambda x: projected.append(run(x)) or projected[-1]
    loss = method(backbone, views)
    u = torch.nn.functional.normalize(projected[0], dim=1)
    total = 0.0
    for i in range(6):
        exps = [math.exp(float(u[i] @ u[k]) / 0.1) for k in range(6)]
        total -= math.log(exps[(i + 3) % 6] / (sum(exps) - exps[i])) / 6
    t = loss.terms
    assert abs(float(t["contrast"].detach()) - total) < 1e-9
    torch.testing.assert_close(loss.total, 0.03 * t["contrast"] + 0.97 * t["reconstruction"])


def test_the_global_vector_leaves_out_class_tokens() -> None:
    torch.manual_seed(0)
    method, backbone = small("vic-mae"), small_backbone(cls=1, pool="cls")
    method.build(backbone, {})
    loss = method(backbone, small_views(method, toy_batch(4)))
    features = backbone(small_views(method, toy_batch(4))[0])
    assert loss.watch["embedding"].shape == features.pooled.shape
    assert not torch.allclose(loss.watch["embedding"], features.prefix[:, 0])


@pytest.mark.parametrize(("rank", "reads"), [(1, "same"), (2, "same"), (3, "same"), (3, "time")])
def test_images_alone_and_videos_alone_both_run(rank: int, reads: str) -> None:
    method, backbone = built(rank, reads=reads)
    plan = method.plan(method.config)
    assert (plan.reads.count, plan.reads.relation) == ((2, "time") if reads == "time" else (1, "same"))
    views = small_views(method, toy_batch(4, rank, reads=plan.reads.count), rank)
    method(backbone, views).total.backward()
    assert all(p.grad is not None for p in [*method.parameters(), *backbone.parameters()])
