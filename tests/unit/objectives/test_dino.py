"""Card B08."""

import math

import pytest
import torch

from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def built(**settings):
    torch.manual_seed(0)
    method, backbone = small("dino", **settings), small_backbone()
    method.build(backbone, {})
    method.before_step(Step(0, 10))
    return method, backbone


def test_constant_student_logits_give_ln_k() -> None:
    method, backbone = built()
    with torch.no_grad():
        for parameter in method.head.parameters():
            parameter.zero_()
    views = small_views(method, toy_batch(8))
    assert abs(float(total_of(method(backbone, views)).total) - math.log(24)) < 1e-5


def test_teacher_temperature_warms_up_by_optimiser_step() -> None:
    method, _ = built(temperature_warmup="5", teacher_temperature=(0.04, 0.08))
    seen = []
    for number in range(8):
        method.before_step(Step(number, 8))
        seen.append(round(float(method.temperature), 4))
    assert seen == [0.04, 0.048, 0.056, 0.064, 0.072, 0.08, 0.08, 0.08]


def test_centre_follows_the_mean_of_all_micro_batches_and_is_saved() -> None:
    method, backbone = built()
    for number, first, second, centre in ((0, 1.0, 3.0, 2.0), (1, 5.0, 7.0, 2.4)):
        watch = [{"teacher_mean": torch.full((24,), value)} for value in (first, second)]
        method.after_step(Step(number, 10), backbone, watch, [])
        torch.testing.assert_close(method.centre, torch.full((24,), centre))
    assert "centre" in method.state_dict()


def test_last_layer_stands_still_while_frozen() -> None:
    torch.manual_seed(0)
    method, backbone = small("dino", freeze_last_layer="3"), small_backbone()
    layout, moved = toy_layout(2), []
    method.build(backbone, {})
    start = [p.clone() for p in method.head.last.parameters()]

    def batches(number):
        moved.append(any(not torch.equal(a, b) for a, b in zip(start, method.head.last.parameters(), strict=True)))
        return toy_batch(8)

    fit(method, backbone, layout, batches, 6, window=(16, 16), build=False)
    assert moved == [False, False, False, False, True, True]


@pytest.mark.slow  # the collapsed controls of tests/e2e train in every run
def test_centring_alone_is_uniform_and_sharpening_alone_is_one_hot() -> None:
    """The two ways to collapse, and the method between them."""

    def teacher_entropy(**settings) -> float:
        torch.manual_seed(0)
        method, backbone = small("dino", freeze_last_layer="0", momentum=0.9, **settings), small_backbone()
        batches = lambda n: toy_batch(8, start=8 * (n % 3))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 40, window=(16, 16), lr=3e-3)
        p = done.last.watch["teacher_probs"]
        return float(-(p * p.clamp_min(1e-12).log()).sum(-1).mean()) / math.log(24)

    sharpening_only = teacher_entropy(centring=False)
    centring_only = teacher_entropy(teacher_temperature=(0.5, 0.5))
    both = teacher_entropy()
    assert centring_only > 0.98
    assert sharpening_only < 0.35
    assert sharpening_only < both < centring_only
