from __future__ import annotations

import math

from ssl_platform.report.curves import column, further_charts, loss_chart, smoothed, thinned
from ssl_platform.report.health_charts import health_charts, limit_of
from ssl_platform.train.health import RANK_LOST_TOKENS


def rows(steps: int) -> list[dict[str, str]]:
    return [{"step": str(s), "loss": f"{2 / s}", "lr": "0.1", "weight_decay": "0.05"} for s in range(1, steps + 1)]


def test_thinning_keeps_ends_and_extremes() -> None:
    x = [float(i) for i in range(100_000)]
    y = [math.sin(i / 500) for i in range(100_000)]
    y[54_321], y[12_345] = 9.0, -9.0
    fx, fy = thinned((x, y), 600)
    assert len(fx) <= 600 and fx == sorted(fx) and (fx[0], fx[-1]) == (0.0, 99_999.0)
    assert max(fy) == 9.0 and min(fy) == -9.0 and fx[fy.index(9.0)] == 54_321


def test_short_curves_stay_as_they_are() -> None:
    curve = ([1.0, 2.0], [3.0, 4.0])
    assert thinned(curve) is curve


def test_the_running_mean_of_a_line_is_the_line() -> None:
    x = [float(i) for i in range(400)]
    _, y = smoothed((x, x))
    assert all(math.isclose(a, b, abs_tol=1e-9) for a, b in zip(x, y, strict=True))


def test_empty_and_broken_cells_are_left_out() -> None:
    found = [{"step": "1", "a": "2"}, {"step": "2", "a": ""}, {"step": "3", "a": "nan"}, {"step": "4", "a": "x"}]
    assert column(found, "a") == ([1.0], [2.0]) and column(found, "b") == ([], [])


def test_the_loss_has_its_trivial_value_beside_it() -> None:
    chart = loss_chart(rows(300), 1.0)
    assert chart is not None and [line.y for line in chart.lines] == [1.0] and chart.log
    assert [name for name, _ in chart.series] == ["loss (each step)", "loss (running mean)"]
    few = loss_chart(rows(5), None)
    assert few is not None and len(few.series) == 1 and not few.lines
    assert loss_chart([], 1.0) is None


def test_what_never_moves_is_no_chart() -> None:
    assert [chart.id for chart in further_charts(rows(10))] == ["lr"]


def test_terms_share_one_chart() -> None:
    found = [{"step": "1", "loss": "3", "loss/a": "1", "loss/b": "2"}]
    assert [name for name, _ in further_charts(found)[0].series] == ["a", "b"]


def test_health_begins_at_the_untrained_network() -> None:
    found = [{"step": "10", "health/effective_rank": "20"}, {"step": "11", "loss": "1"}]
    (chart,) = health_charts(found, {"effective_rank": 30.0})
    assert chart.series[0][1] == ([0.0, 10.0], [30.0, 20.0])
    assert [(line.kind, line.y) for line in chart.lines] == [("baseline", 30.0), ("limit", RANK_LOST_TOKENS * 30)]


def test_limits_are_those_of_the_verdict() -> None:
    untrained = {"effective_rank": 10.0, "spread": 1.0}
    assert limit_of("effective_rank", untrained) == ("below", RANK_LOST_TOKENS * 10)
    assert limit_of("effective_rank", {}) is None
    assert limit_of("knn", untrained) is None
