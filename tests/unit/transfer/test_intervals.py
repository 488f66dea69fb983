import numpy as np
import pytest

from ssl_platform.transfer.intervals import over_groups, over_seeds, paired_difference
from ssl_platform.transfer.metrics import accuracy


def test_intervals_resample_groups_not_rows() -> None:
    """Ten copies of every row change nothing when they share its group, and narrow the interval when they do not."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 40)
    score = np.eye(2)[np.where(rng.random(40) < 0.7, target, 1 - target)]
    once = over_groups(accuracy, target, score, [str(i) for i in range(40)])
    tenfold = np.repeat(target, 10), np.repeat(score, 10, axis=0)
    grouped = over_groups(accuracy, *tenfold, [str(i) for i in range(40) for _ in range(10)])
    loose = over_groups(accuracy, *tenfold, [str(i) for i in range(400)])
    width = lambda m: m.ci95[1] - m.ci95[0]  # noqa: E731
    assert once.value == grouped.value == loose.value
    assert width(grouped) == pytest.approx(width(once), rel=0.15)
    assert width(loose) < 0.5 * width(once)


def test_interval_covers_the_truth_about_95_percent_of_the_time() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        target = rng.integers(0, 2, 60)
        score = np.eye(2)[np.where(rng.random(60) < 0.8, target, 1 - target)]
        metric = over_groups(accuracy, target, score, range(60), resamples=200, seed=trial)
        covered += metric.ci95[0] <= 0.8 <= metric.ci95[1]
    assert 175 <= covered <= 199


def test_student_interval_of_seeds() -> None:
    metric = over_seeds([1.0, 2.0, 3.0], "evaluation seeds")
    assert metric.value == 2.0 and metric.ci_over == "evaluation seeds"
    assert metric.ci95 == pytest.approx((2 - 4.3026527 / 3**0.5, 2 + 4.3026527 / 3**0.5))
    assert over_seeds([1.0], "evaluation seeds").ci95 is None
    assert paired_difference([2, 3, 4], [1, 2, 3], "x").ci95 == (1.0, 1.0)


def test_one_group_has_no_interval() -> None:
    assert over_groups(accuracy, np.array([0, 1]), np.eye(2), ["a", "a"]).ci95 is None
