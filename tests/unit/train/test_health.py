"""The verdict on made-up numbers: each cause is told from the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssl_platform.train.health import FIRST_SECONDS, FIRST_STEPS, Look, LossTrail, judge

UNTRAINED = Look(step=0, seconds=0.0, effective_rank=20.0, spread=0.2, knn=0.5)
GOOD = Look(step=500, seconds=60.0, effective_rank=25.0, spread=0.4, loss=0.5, loss_before=0.6, knn=0.7)


def verdict(look: Look, **options: object) -> tuple[str, str]:
    given = judge(look, UNTRAINED, **{"trivial": 1.0, "family": "contrastive", "total": 1000, **options})
    return given.verdict, given.cause


def test_nothing_before_two_hundred_steps_or_three_minutes() -> None:
    early = replace(GOOD, step=FIRST_STEPS - 1, effective_rank=1.0)
    assert verdict(early)[0] == "undetermined"
    assert verdict(replace(early, seconds=FIRST_SECONDS))[0] == "collapsed"
    assert verdict(replace(early, step=FIRST_STEPS))[0] == "collapsed"


def test_healthy_names_its_signs() -> None:
    word, cause = verdict(GOOD)
    assert word == "healthy" and "25.0" in cause and "kNN 0.700 (untrained 0.500)" in cause


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"spread": 0.005}, "one embedding"),
        ({"spread": float("nan")}, "one embedding"),
        ({"effective_rank": 3.0}, "few directions"),
        ({"effective_rank": 14.0, "loss": 1e-4}, "few directions"),
        ({"teacher_usage": 0.01, "teacher_entropy": 0.01}, "one output"),
        ({"teacher_usage": 1.0, "teacher_entropy": 0.999}, "never decides"),
        ({"loss": 1.2, "loss_before": 1.2, "step": 501}, "ignoring the input"),
    ],
)
def test_collapsed_with_its_cause(change: dict[str, float], word: str) -> None:
    found, cause = verdict(replace(GOOD, **change))
    assert found == "collapsed" and word in cause


def test_likely_cause_depends_on_the_family() -> None:
    flat = replace(GOOD, spread=0.001)
    assert "negatives" in verdict(flat)[1]
    assert "variance" in verdict(flat, family="decorrelation")[1]
    assert "stop-gradient" in verdict(flat, family="distillation")[1]


@pytest.mark.parametrize(
    "change",
    [
        {"loss": 1.1, "loss_before": 1.5},
        {"loss": 1.2, "loss_before": 1.2, "step": 300},
        {"loss": 0.95, "loss_before": 0.951},
        {"knn": 0.4, "step": 900},
    ],
)
def test_stalling(change: dict[str, float]) -> None:
    assert verdict(replace(GOOD, **change))[0] == "stalling"


def test_masked_prediction_is_held_to_the_loss_it_started_from() -> None:
    """Where patches are flat, predicting their mean gives less than one: a decoder that stays there learnt nothing."""
    flat = replace(GOOD, loss=0.8, loss_before=0.8, step=900)
    assert verdict(replace(flat, loss_first=0.8), family="masked")[0] == "collapsed"
    assert verdict(replace(flat, loss_first=1.0), family="masked")[0] == "healthy"
    assert verdict(replace(flat, loss_first=0.8))[0] == "healthy"


def test_a_poor_knn_is_no_matter_early() -> None:
    assert verdict(replace(GOOD, knn=0.4, step=300))[0] == "healthy"


def test_rank_may_be_lost_by_token_families_and_while_the_loss_has_work_left() -> None:
    easy = replace(GOOD, effective_rank=8.0, loss=0.03)
    assert verdict(easy, family="masked")[0] == "healthy" and verdict(easy)[0] == "collapsed"
    assert verdict(replace(easy, loss=0.2))[0] == "healthy"


def test_trail_is_bounded_and_survives_a_checkpoint() -> None:
    trail = LossTrail(limit=100)
    for step in range(1000):
        trail.add(step, float(step))
    trail.add(1000, float("nan"))
    assert len(trail.values) <= 100
    recent, before, first = trail.recent()
    assert first == 3.5  # the mean of the first eight
    assert recent is not None and before is not None and 700 < recent < 1000 and 300 < before < recent
    again = LossTrail.load(trail.state())
    assert again.values == trail.values and again.recent() == trail.recent()
    assert LossTrail().recent() == (None, None, None)
