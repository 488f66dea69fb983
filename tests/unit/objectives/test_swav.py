"""Card 216."""

import math

import pytest
import torch

from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def test_prototypes_have_unit_norm_at_every_step_and_wait_while_frozen() -> None:
    torch.manual_seed(0)
    method, backbone = small("swav", freeze_prototypes="3"), small_backbone()
    method.build(backbone, {})
    rows, norms = [], []
    before = method.before_step

    def watched(step: Step) -> None:
        before(step)
        weight = next(method.prototypes.parameters()).detach().clone()
        rows.append(weight)
        norms.append(weight.norm(dim=1))

    method.before_step = watched
    fit(method, backbone, toy_layout(2), lambda n: toy_batch(8, start=8 * n), 6, window=(16, 16), build=False)
    torch.testing.assert_close(torch.stack(norms), torch.ones(6, 12))
    assert torch.allclose(rows[0], rows[3]) and not torch.allclose(rows[3], rows[5])


def test_uniform_scores_give_ln_k_and_codes_carry_no_gradient() -> None:
    torch.manual_seed(0)
    method, backbone = small("swav"), small_backbone()
    method.build(backbone, {})
    views = small_views(method, toy_batch(8))
    with torch.no_grad():
        next(method.prototypes.parameters()).fill_(12**-0.5)
    loss = total_of(method(backbone, views))
    assert abs(float(loss.total) - math.log(12)) < 1e-4
    assert not loss.watch["teacher_probs"].requires_grad


def test_queue_joins_after_its_start_and_changes_the_codes() -> None:
    torch.manual_seed(0)
    method, backbone = small("swav", queue=16, queue_start="2"), small_backbone()
    method.build(backbone, {})
    used = []
    before = method.before_step

    def watched(step: Step) -> None:
        before(step)
        used.append(method.queue_used)

    method.before_step = watched
    fit(method, backbone, toy_layout(2), lambda n: toy_batch(8, start=8 * n), 4, window=(16, 16), build=False)
    assert used == [False, False, True, True]


@pytest.mark.slow  # the collapsed controls of tests/e2e train in every run
def test_softmax_codes_collapse_where_balanced_codes_do_not() -> None:
    def usage(balanced: bool) -> float:
        torch.manual_seed(0)
        method, backbone = small("swav", balanced=balanced, queue=0, epsilon=0.05), small_backbone()
        batches = lambda n: toy_batch(8, start=8 * (n % 3))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 40, window=(16, 16), lr=3e-3)
        mean = done.last.watch["teacher_probs"].mean(0)
        return float(-(mean * mean.clamp_min(1e-12).log()).sum()) / math.log(12)

    assert usage(True) > 0.8
    assert usage(False) < 0.5
