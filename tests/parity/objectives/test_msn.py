"""Card 103: me-max and sharpening in closed form, what the encoder sees, and how prototypes die without me-max (slow).

The loss against lightly's is in tests/parity/losses/test_lightly.py, me-max on two processes in
tests/ddp/test_collectives.py. That it learns is in tests/learning, with a linear probe on all labels: the sample sets
are too small to tell methods apart with five labels a class.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import mean_entropy_gap, sharpened, soft_cross_entropy
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step, Views

STEP = Step(5, 10, 1, 8)


def test_me_max_from_uniform_to_one_hot() -> None:
    assert float(mean_entropy_gap(torch.zeros(8, 16))) == pytest.approx(0.0, abs=1e-6)
    assert float(mean_entropy_gap(torch.eye(16) * 1e3)) == pytest.approx(0.0, abs=1e-5)  # each its own
    one = torch.zeros(8, 16)
    one[:, 3] = 1e3
    one.requires_grad_()
    gap = mean_entropy_gap(one)
    gap.backward()
    assert float(gap.detach()) == pytest.approx(math.log(16), abs=1e-5) and torch.isfinite(one.grad).all()


def test_sharpening_from_identity_to_arg_max() -> None:
    p = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).softmax(1)
    torch.testing.assert_close(sharpened(p, 1.0), p)
    torch.testing.assert_close(sharpened(p, 0.25), p**4 / (p**4).sum(1, keepdim=True))
    torch.testing.assert_close(sharpened(p, 1e-4), F.one_hot(p.argmax(1), 9).float())


def test_equalised_targets_sum_to_one_and_approach_equal_use() -> None:
    method, _ = built("msn")
    scores = 2 * torch.rand(8, 16, generator=torch.Generator().manual_seed(0)) - 1
    torch.testing.assert_close(method.targets(scores).sum(1), torch.ones(8))
    sharp = sharpened((scores / 0.1).softmax(1), 0.25).double().log()
    errors = [float((sinkhorn(sharp, 1.0, n).sum(0) - 0.5).abs().max()) for n in (1, 10, 1000)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-2


@pytest.mark.parametrize(("drop", "size"), [(0.15, 16), (0.5, 16), (0.7, 16), (0.15, 24)])
def test_the_large_anchor_has_exactly_its_tokens(drop: float, size: int) -> None:
    method, backbone = built("msn", patch_drop=drop)
    view = small_views(method, toy_batch(4, size=size))["global"][1]
    tokens = backbone.tokenize(view)
    seen = backbone.encode(tokens, method.kept(tokens, view))
    assert seen.tokens.shape[1] == round(tokens.count * (1 - drop))


def test_identical_views_reach_the_targets_entropy() -> None:
    method, backbone = built("msn", patch_drop=0.0, sharpening=1.0, sinkhorn=False, local_crops=0)
    method.before_step(STEP)
    view = small_views(method, toy_batch(8))[0]
    loss = total_of(method(backbone, Views([view, view])))
    p = loss.watch["teacher_probs"]
    entropy = -(p * p.log()).sum(1).mean()
    torch.testing.assert_close(loss.terms["cross_entropy"], entropy)
    torch.testing.assert_close(loss.total, loss.terms["cross_entropy"] + loss.terms["memax"])


def test_gradient_leaves_the_target_alone() -> None:
    """Prototypes learn from anchors only: the loss with a constant in the target's place has the same gradient."""
    method, backbone = built("msn")
    method.before_step(STEP)
    views = small_views(method, toy_batch(8))
    loss = total_of(method(backbone, views))
    (mine,) = torch.autograd.grad(loss.terms["cross_entropy"], method.prototypes.weight)
    features = [*method.dropped(backbone, views[1:2]), *(backbone(v).pooled for v in views[2:])]
    scores = method.prototypes(F.normalize(method.projector(torch.cat(features)), dim=1))
    again = soft_cross_entropy(scores, loss.watch["teacher_probs"].repeat(3, 1), 0.1)
    (theirs,) = torch.autograd.grad(again, method.prototypes.weight)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow  # two short runs
def test_without_me_max_prototypes_die() -> None:
    def used(weight: float) -> float:
        """Prototypes the targets use: the exponential of the entropy of their mean."""
        torch.manual_seed(0)
        method, backbone = small("msn", memax_weight=weight, sinkhorn=False, momentum=0.9), small_backbone()
        make(method, backbone)
        batches = lambda n: toy_batch(16, start=16 * (n % 4))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 60, window=(16, 16), lr=3e-3, build=False)
        mean = done.last.watch["teacher_probs"].mean(0)
        return float((-(mean * mean.clamp_min(1e-12).log()).sum()).exp())

    classes = 4  # of the data: 5.1 prototypes are in use with me-max after these steps, 3.0 without
    assert used(1.0) > classes > used(0.0)
