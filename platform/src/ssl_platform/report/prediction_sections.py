"""The parts of a page that show what was predicted: who is taken for whom, scores of classes, values, pictures."""

from __future__ import annotations

from ssl_platform.report.class_scores import ClassScore
from ssl_platform.report.content import Content
from ssl_platform.report.figures import spoken
from ssl_platform.report.markup import NONE, Cell, Html, number, table, tag
from ssl_platform.report.panels import Panel
from ssl_platform.report.section import Section
from ssl_platform.report.whiskers import Interval, extent, told, whisker

_SHADES = 10
_SIDE, _ROOM = 420, 52


def sections(content: Content) -> list[Section]:
    """A section for each protocol that predicted something."""
    made = []
    for panel in content.panels:
        parts = [_matrix(panel), _scores(panel), _values(panel)]
        if any(parts):
            several = len(content.panels) > 1
            title = f"Predictions, {spoken(panel.protocol)}" if several else "Predictions"
            short = spoken(panel.protocol) if several else "Predictions"
            made.append(Section(f"panel-{panel.protocol}", title, short, tag("div", parts, class_="panels")))
    return made


def _matrix(panel: Panel) -> Html | None:
    if panel.counts is None:
        return _confused(panel)
    rows = panel.counts.sum(axis=1)
    lines: list[list[Cell | str]] = []
    for i, name in enumerate(panel.classes):
        line: list[Cell | str] = [name]
        for j, other in enumerate(panel.classes):
            count, share = int(panel.counts[i, j]), float(panel.counts[i, j] / rows[i]) if rows[i] else 0.0
            tip = f"{count:,} of {int(rows[i]):,} {name} were taken for {other} ({share:.0%})"
            shade = f"{'hit' if i == j else 'miss'} shade{round(share * _SHADES)}"
            line.append(Cell(f"{count:,}" if count else "", count, shade, tip))
        lines.append(line)
    shown = table(["true \\ predicted", *panel.classes], lines, "Confusion matrix", class_="confusion")
    text = f"Rows are the true classes of the {panel.total:,} {panel.items}, columns what was predicted."
    return tag("div", tag("h3", "Confusion matrix"), tag("p", text, class_="lead"), shown)


def _confused(panel: Panel) -> Html | None:
    if not panel.confused:
        return None
    shown = table(["true", "predicted", "items"], panel.confused, "Most frequent confusions", class_="numbers sortable")
    return tag("div", tag("h3", "Most frequent confusions"), shown)


def _scores(panel: Panel) -> Html | None:
    if not panel.scores:
        return None
    names = list(dict.fromkeys(name for one in panel.scores for name in one.figures))
    ends = {name: _ends([one.figures.get(name) for one in panel.scores]) for name in names}
    counted = any(one.support is not None for one in panel.scores)
    lines = [_line(one, names, ends, counted) for one in panel.scores]
    head = ["class", *(["items"] if counted else [])]
    for name in names:
        head += ["", name]
    shown = table(head, lines, "Scores of each class", class_="numbers sortable scores")
    text = "With 95 % intervals from resampling groups (patients, places, speakers). Click a heading to sort."
    return tag("div", tag("h3", "Each class"), tag("p", text, class_="lead"), shown)


def _ends(intervals: list[Interval | None]) -> tuple[float, float]:
    """Figures that are fractions share the whole range, others their own."""
    low, high = extent(intervals)
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _line(one: ClassScore, names: list[str], ends: dict[str, tuple[float, float]], counted: bool) -> list[Cell | str]:
    line: list[Cell | str] = [one.name]
    line += [Cell(f"{one.support:,}" if one.support is not None else NONE, one.support)] if counted else []
    for name in names:
        value = one.figures.get(name)
        line.append(Cell(None if value is None else whisker(value, ends[name])))
        line.append(Cell(told(value) or NONE, None if value is None else value.value))
    return line


def _values(panel: Panel) -> Html | None:
    """True against predicted values, the diagonal where they are equal."""
    if not panel.points:
        return None
    values = [v for _, true, found in panel.points for v in (true, found)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return (value - low) / span * (_SIDE - _ROOM - 12)

    left, bottom = _ROOM, _SIDE - _ROOM
    shapes = [
        tag("line", x1=left, y1=bottom, x2=left, y2=8, class_="axis"),
        tag("line", x1=left, y1=bottom, x2=_SIDE - 8, y2=bottom, class_="axis"),
        tag("line", x1=left, y1=bottom, x2=f"{left + at(high):.1f}", y2=f"{bottom - at(high):.1f}", class_="mark"),
        tag("text", "true", x=(left + _SIDE) / 2, y=_SIDE - 12, text_anchor="middle"),
        tag("text", "predicted", x=-(bottom + 8) / 2, y=14, text_anchor="middle", transform="rotate(-90)"),
    ]
    for value in (low, high):
        shapes.append(tag("text", number(value), x=f"{left + at(value):.1f}", y=bottom + 18, text_anchor="middle"))
        shapes.append(tag("text", number(value), x=left - 6, y=f"{bottom - at(value) + 4:.1f}", text_anchor="end"))
    for item, true, found in panel.points:
        tip = f"{item}: {number(true, 4)} true, {number(found, 4)} predicted"
        shapes.append(tag("circle", cx=f"{left + at(true):.1f}", cy=f"{bottom - at(found):.1f}", r="3.5", data_tip=tip))
    drawn = tag(
        "svg",
        shapes,
        class_="scatter",
        viewBox=f"0 0 {_SIDE} {_SIDE}",
        role="img",
        aria_label="True against predicted values",
    )
    some = "" if len(panel.points) == panel.total else f" ({len(panel.points):,} of {panel.total:,} shown)"
    text = f"{panel.items.capitalize()}{some}; the line is where the prediction is right. Point at one for its values."
    return tag(
        "div", tag("h3", "True and predicted values"), tag("p", text, class_="lead"), tag("div", drawn, class_="card")
    )
