"""Values with their intervals, drawn: a dot, a line to both ends, a mark for the baseline. Inline SVG, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_platform.report.markup import Html, number, tag

WIDTH, HEIGHT = 160, 18
_MARGIN = 6


@dataclass(frozen=True)
class Interval:
    """A value, and where it could as well be.

    Attributes:
        value: itself.
        low, high: ends of its interval, the value where there is none.
        over: what the interval is over.
    """

    value: float
    low: float
    high: float
    over: str = ""

    @classmethod
    def of(cls, metric: Mapping[str, Any] | None) -> Interval | None:
        """A metric of `result.json`; None where there is none or it is not finite."""
        value = None if metric is None else metric.get("value")
        if metric is None or value is None or value != value:
            return None
        low, high = metric.get("ci95") or (value, value)
        return cls(float(value), float(low), float(high), str(metric.get("ci_over") or ""))

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low < self.high

    def text(self, sign: bool = False) -> str:
        """`0.812`, and behind it its interval."""
        ends = f" [{score(self.low, sign)}, {score(self.high, sign)}]" if self.known else ""
        return score(self.value, sign) + ends


def score(value: float, sign: bool = False) -> str:
    """Three decimals, so that columns of scores line up; large values as any number."""
    if abs(value) >= 100:
        return f"{'+' if sign and value > 0 else ''}{number(value)}"
    return f"{value:{'+' if sign else ''}.3f}"


def extent(intervals: Sequence[Interval | None]) -> tuple[float, float]:
    """The range that holds all of them, not narrower than a hundredth."""
    known = [one for one in intervals if one is not None]
    low, high = min(one.low for one in known), max(one.high for one in known)
    rest = max(0.01 - (high - low), 0.0) / 2
    return low - rest, high + rest


def whisker(one: Interval, ends: tuple[float, float], mark: float | None = None) -> Html:
    """The drawing of one value.

    Args:
        one: the value.
        ends: what the left and the right end of the drawing stand for.
        mark: of the baseline.
    """
    middle = HEIGHT / 2

    def x(value: float) -> str:
        share = (value - ends[0]) / max(ends[1] - ends[0], 1e-12)
        return f"{_MARGIN + min(max(share, 0.0), 1.0) * (WIDTH - 2 * _MARGIN):.1f}"

    def line(a: str, b: str, above: float, below: float, kind: str) -> Html:
        return tag("line", x1=a, x2=b, y1=f"{middle - above:g}", y2=f"{middle + below:g}", class_=kind)

    shapes = [line(f"{_MARGIN}", f"{WIDTH - _MARGIN}", 0, 0, "axis")]
    if mark is not None:
        shapes.append(line(x(mark), x(mark), middle, middle, "mark"))
    if one.known:
        shapes.append(line(x(one.low), x(one.high), 0, 0, "span"))
        shapes += [line(x(end), x(end), 3, 3, "span") for end in (one.low, one.high)]
    shapes.append(tag("circle", cx=x(one.value), cy=f"{middle:g}", r="3.6"))
    return tag("svg", shapes, class_="whisker", viewBox=f"0 0 {WIDTH} {HEIGHT}", aria_hidden="true")


def told(one: Interval | None, sign: bool = False) -> Html | None:
    """The number with its interval in small print."""
    if one is None:
        return None
    ends = f"{score(one.low, sign)} to {score(one.high, sign)}" if one.known else None
    return tag("span", score(one.value, sign), tag("small", ends) if ends else None, class_="told")
