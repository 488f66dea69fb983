"""Card B10: Sinkhorn and KoLeo in closed form, iBOT's limit, the masks, and KoLeo's effect in training (slow).

Sinkhorn over ranks with unequal numbers of masked tokens is in tests/ddp/test_collectives.py, exact resume of every
objective in test_every_objective.py, KoLeo against lightly's in tests/parity/losses.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_platform.losses import koleo
from ssl_platform.measures import uniformity
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step, View


def logits(rows: int = 24, outputs: int = 6) -> Tensor:
    return torch.randn(rows, outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_sinkhorn_sums_permutation_and_the_uniform_plan() -> None:
    q = sinkhorn(logits(), 0.5, 3)
    torch.testing.assert_close(q.sum(1), torch.ones(24, dtype=torch.float64), atol=1e-5, rtol=0)
    errors = [float((sinkhorn(logits(), 0.5, n).sum(0) - 4).abs().max()) for n in (1, 3, 30)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-6
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sinkhorn(logits()[order], 0.5, 3), q[order])
    torch.testing.assert_close(sinkhorn(torch.full((5, 4), 2.0), 0.04, 3), torch.full((5, 4), 0.25))


def test_koleo_in_closed_form() -> None:
    assert float(koleo(torch.eye(2))) == pytest.approx(-0.34657, abs=1e-5)
    twins = torch.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    value = koleo(twins)
    value.backward()
    assert 15 < float(value.detach()) < 19 and torch.isfinite(twins.grad).all()
    with pytest.raises(ValueError, match="at least 2 samples"):
        koleo(torch.ones(1, 3))
    angles = torch.arange(6, dtype=torch.float64)
    circle = lambda step: torch.stack([(step * angles).cos(), (step * angles).sin()], 1)  # noqa: E731
    falling = [float(koleo(circle(step))) for step in (0.1, 0.3, 0.6, math.pi / 3)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.0, abs=1e-6)  # six points at distance 1
    x = torch.randn(7, 5, dtype=torch.float64)
    unit = [row / row.norm() for row in x]
    near = [min(float((a - b).norm()) for b in unit if b is not a) for a in unit]
    assert float(koleo(x)) == pytest.approx(-sum(math.log(d) for d in near) / 7, abs=1e-6)


ALIKE: dict[str, Any] = {
    "mask_probability": 1.0,
    "mask_ratio": (0.3, 0.3),
    "prototypes": 16,
    "bottleneck": 16,
    "hidden": 32,
    "local_crops": 2,
    "shared_head": True,
}


def test_with_ibots_choices_it_is_ibot() -> None:
    """Centres, temperatures and masks alike: the terms have the weights 1 and 1 in both."""
    found = []
    for name, settings in (("ibot", {}), ("dinov2", {"koleo_weight": 0.0, "balance": "centre"})):
        method, backbone = built(name, **ALIKE, **settings)
        method.before_step(Step(5, 10, 1, 8))
        for buffer in (method.centre, method.patch_centre):
            buffer.copy_(0.1 * torch.randn(16, generator=torch.Generator().manual_seed(2)))
        loss = total_of(method(backbone, small_views(method, toy_batch(8))))
        loss.total.backward()
        found.append((loss.total.detach(), torch.cat([p.grad.flatten() for p in backbone.parameters()])))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-7)


def test_targets_and_koleo_written_out() -> None:
    """Views are balanced over both crops, patches over all masked tokens; KoLeo is each crop's own."""
    method, backbone = built("dinov2")
    method.before_step(Step(5, 10, 1, 8))
    views = small_views(method, toy_batch(8))
    loss = total_of(method(backbone, views))

    crops = View.cat(views[:2])
    mask = method.masks(backbone.tokenize(crops), crops, 2)
    chosen = mask.dense()
    whole = method.teacher.backbone(crops)

    def plan(scores: Tensor, temperature: float) -> Tensor:
        q = (scores.double() / temperature).exp().T
        q = q / q.sum()
        for _ in range(3):
            q = q / q.sum(1, keepdim=True) / q.shape[0]
            q = q / q.sum(0, keepdim=True) / q.shape[1]
        return (q * q.shape[1]).T.float()

    views_plan = plan(method.teacher.head("head", whole.pooled), float(method.temperature))
    patch_plan = plan(method.teacher.head("patch_head", whole.tokens[chosen]), float(method.patch_temperature))
    torch.testing.assert_close(loss.watch["teacher_probs"], views_plan.view(2, 8, 16).mean(0), rtol=1e-4, atol=1e-6)

    masked = backbone.encode(backbone.tokenize(crops), replaced=mask, mask_token=method.mask_token)
    rows = -(patch_plan * (method.patch_head(masked.tokens[chosen]) / 0.1).log_softmax(-1)).sum(-1)
    weight = (1.0 / chosen.sum(1).clamp_min(1))[:, None].expand_as(chosen)[chosen]
    torch.testing.assert_close(loss.terms["patch"], (rows * weight).sum() / 16, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.terms["koleo"], sum(koleo(f) for f in masked.pooled.chunk(2)))
    torch.testing.assert_close(
        loss.total, loss.terms["view"] + loss.terms["patch"] + 0.1 * loss.terms["koleo"], rtol=1e-6, atol=1e-6
    )


def test_exactly_half_of_the_crops_are_masked_with_ratios_spread_evenly() -> None:
    method, backbone = built("dinov2")
    counts = []
    for start in range(0, 64, 16):
        crops = View.cat(small_views(method, toy_batch(16, start=start))[:2])
        tokens = backbone.tokenize(crops)
        mask = method.masks(tokens, crops, 2)
        counts.append(mask.dense().sum(1).view(2, 16))
    count = torch.cat(counts, dim=1)  # [crop, sample], of 16 tokens
    assert torch.equal((count > 0).sum(0), torch.ones(64, dtype=torch.long))
    assert int(count.max()) <= 8 and int(count[count > 0].min()) >= 1
    assert 0.25 < float((count[0] > 0).float().mean()) < 0.75
    assert float(count.sum(0).float().mean()) == pytest.approx(0.3 * 16 - 0.5, abs=0.8)


def test_the_tokenizer_has_a_player_of_its_own() -> None:
    method, backbone = built("dinov2")
    main, embed = method.players(backbone)
    assert (main.lr, embed.lr) == (1.0, 0.2)
    assert {id(p) for p in embed.parameters} == {id(p) for p in backbone.tokenizer.parameters()}
    everything = [*backbone.parameters(), *(p for p in method.parameters() if p.requires_grad)]
    assert len(main.parameters) + len(embed.parameters) == len(everything)


@pytest.mark.slow  # two short runs
def test_koleo_spreads_the_features() -> None:
    """Uniformity (lower is better spread) of the student's features after equal training with and without it."""

    def spread(weight: float) -> float:
        torch.manual_seed(0)
        method, backbone = small("dinov2", koleo_weight=weight, momentum=0.9), small_backbone()
        make(method, backbone)
        batches = lambda n: toy_batch(16, start=16 * (n % 4))  # noqa: E731
        fit(method, backbone, toy_layout(2), batches, 40, window=(16, 16), lr=2e-3, build=False)
        with torch.no_grad():
            features = backbone(small_views(method, toy_batch(64))[0]).pooled
        return float(uniformity(features))

    assert spread(0.1) < spread(0.0) - 0.1
