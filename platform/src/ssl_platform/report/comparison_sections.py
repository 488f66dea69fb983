"""The parts of the page of a comparison: the table, every metric by itself, differences between runs, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_platform.report.comparison_content import BASELINES, Told
from ssl_platform.report.figures import Figure, spoken
from ssl_platform.report.markup import NONE, Cell, Html, duration, number, table, tag
from ssl_platform.report.section import Section, lead
from ssl_platform.report.whiskers import Interval, extent, told, whisker

_MOST_IN_MATRIX = 12


def figures(found: Told, about: Mapping[str, Any]) -> list[Figure]:
    """The numbers at the head of the page."""
    seeds = [int(row["seeds"]) for row in found.rows]
    many = f"{min(seeds)} to {max(seeds)}" if min(seeds) < max(seeds) else f"{max(seeds)}"
    protocols = list(dict.fromkeys(metric.split("/")[0] for metric, _ in found.columns()))
    shown = [
        Figure("runs", str(sum(name not in BASELINES for name in found.runs))),
        Figure("protocols", str(len(protocols)), ", ".join(spoken(name) for name in protocols)),
        Figure("seeds", many),
    ]
    return shown + ([Figure("one split for all", str(about["split_id"]))] if about.get("split_id") else [])


def _named(run: str) -> str:
    return BASELINES.get(run, run)


def _heading(key: tuple[str, str]) -> str:
    return spoken(key[0]) + (f", {key[1]}" if key[1] else "")


def overview(found: Told) -> Section:
    """Runs by the first metric of each protocol."""
    keys = found.first_keys()
    columns = {key: {str(row["run"]): Interval.of(row["value"]) for row in found.under(key)} for key in keys}
    beside = {key: next((v for row in found.under(key) if (v := Interval.of(row["beside"]))), None) for key in keys}
    runs = found.runs
    lines: list[list[Any]] = [
        [_named(run), *(_cell(columns[key].get(run), _best(columns[key]) == run) for key in keys)] for run in runs
    ]
    for word, test in (("random", False), ("scratch", True)):
        own = [beside[key] if key[0].startswith("finetune/") is test else None for key in keys]
        if word not in runs and any(own):
            lines.append([_named(word), *(_cell(one) for one in own)])
    text = (
        "Each protocol's first metric with its 95 % interval. The highest value of a column is bold, which is not to "
    )
    text += "say that it differs from the next: see the differences below. Click a heading to sort."
    notes = tag("ul", [tag("li", f"{note[0].upper()}{note[1:]}.") for note in found.notes], class_="notes")
    shown = table(["run", *map(_heading, keys)], lines, "Runs by protocol", class_="numbers sortable")
    return Section("table", "The table", "Table", tag("div", lead(text), shown, notes if found.notes else None))


def _best(column: Mapping[str, Interval | None]) -> str:
    known = {run: one.value for run, one in column.items() if one is not None}
    return max(known, key=lambda run: known[run]) if known else ""


def _cell(one: Interval | None, best: bool = False, sign: bool = False) -> Cell:
    return Cell(told(one, sign) or NONE, None if one is None else one.value, "best" if best else None)


def metrics(found: Told) -> list[Section]:
    """A section a protocol: its metrics, each run beside its baselines."""
    sections: dict[str, list[Html]] = {}
    for key in found.columns():
        shown = sections.setdefault(key[0].split("/")[0], [])
        title = spoken(key[0].split("/")[1]) + (f", {key[1]}" if key[1] else "")
        if not shown:
            shown.append(tag("div", tag("h3", title), _metric_table(found, key)))
        else:
            shown.append(tag("details", tag("summary", title), _metric_table(found, key)))
    return [
        Section(f"protocol-{name}", _protocol(name), _protocol(name), tag("div", parts, class_="metrics"))
        for name, parts in sections.items()
    ]


def _protocol(name: str) -> str:
    words = {"finetune": "Fine-tuning", "knn": "kNN", "linear": "Linear probe", "svm": "SVM", "mil": "MIL"}
    words |= {"monitor": "In the course of pretraining", "fewshot": "Few-shot episodes"}
    return words.get(name, spoken(name).capitalize())


def _metric_table(found: Told, key: tuple[str, str]) -> Html:
    rows = found.under(key)
    values = [Interval.of(row["value"]) for row in rows]
    if not any(values):
        return tag("p", "not defined for any run")
    ends = extent([*values, *(Interval.of(row[n]) for row in rows for n in ("beside", "scratch"))])
    names = {"beside": next((str(r["baseline"]) for r in rows if r["baseline"]), "random"), "scratch": "scratch"}
    head = ["run", "", "value"]
    columns: list[tuple[str, bool]] = []
    parts = (("beside", "difference", "difference_items"), ("scratch", "difference_scratch"))
    for part in parts:
        for name in part:
            if any(row.get(name) for row in rows):
                columns.append((name, name not in names))
                head.append(_named(names[name]) if name in names else _minus(name, names["beside"]))
    several = max(int(row["seeds"]) for row in rows) > 1
    head += ["seeds"] if several else []
    lines = []
    for row, value in zip(rows, values, strict=True):
        mark = Interval.of(row["beside"])
        drawn = None if value is None else whisker(value, ends, None if mark is None else mark.value)
        cells = [_cell(Interval.of(row.get(name)), sign=signed) for name, signed in columns]
        rest = [Cell(row["seeds"], row["seeds"])] if several else []
        lines.append([_named(str(row["run"])), drawn, _cell(value), *cells, *rest])
    shown = table(head, lines, _heading(key), class_="numbers sortable")
    return tag("div", shown, tag("p", _over(rows), class_="over"))


def _minus(name: str, baseline: str) -> str:
    word = "scratch" if name == "difference_scratch" else baseline
    return f"minus {word}" + (", by item" if name == "difference_items" else "")


def _over(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the intervals of a table are over, in a sentence."""
    found = []
    for what, name in (("of values", "value"), ("of differences", "difference"), ("by item", "difference_items")):
        over = dict.fromkeys(str(row[name]["ci_over"]) for row in rows if row.get(name) and row[name].get("ci_over"))
        found += [f"{what} over {' or '.join(over)}"] if over else []
    return (
        f"95 % intervals {', '.join(found)}." if found else "No intervals: one seed, and the test items are not known."
    )


def differences(found: Told) -> Section | None:
    """Every run minus every other, under the first metric of each protocol."""
    runs = [name for name in found.runs if name not in BASELINES]
    if not found.pairs or not 2 <= len(runs) <= _MOST_IN_MATRIX:
        return None
    parts = []
    for key in found.first_keys():
        known: dict[tuple[str, str], Mapping[str, Any]] = {}
        for pair in found.pairs:
            if (pair["metric"], pair["labels"] or "") == key:
                known[str(pair["first"]), str(pair["second"])] = pair
        if known:
            parts.append(tag("div", tag("h3", _heading(key)), _matrix(runs, known, _heading(key))))
    text = (
        "The run on the left minus the run above, paired by seed where there are several, else by test item. Coloured "
    )
    text += "where the 95 % interval leaves out zero. Point at a cell for its interval."
    return Section(
        "differences", "Differences", "Differences", tag("div", lead(text), tag("div", parts, class_="pair"))
    )


def _matrix(runs: Sequence[str], known: Mapping[tuple[str, str], Mapping[str, Any]], title: str) -> Html:
    lines: list[list[Any]] = []
    for a in runs:
        line: list[Any] = [a]
        for b in runs:
            pair, sign = (known[a, b], 1) if (a, b) in known else (known.get((b, a)), -1)
            line.append(NONE if pair is None else _apart(pair, sign, a, b))
        lines.append(line)
    return table(["", *runs], lines, f"Differences, {title}", class_="numbers matrix")


def _apart(pair: Mapping[str, Any], sign: int, a: str, b: str) -> Cell:
    one = Interval.of(pair["difference"])
    if one is None:
        return Cell(NONE)
    low, high = sorted((sign * one.low, sign * one.high))
    turned = Interval(sign * one.value, low, high, one.over)
    kind = None if not one.known or low <= 0 <= high else "better" if turned.value > 0 else "worse"
    tip = f"{a} minus {b}: {turned.text(sign=True)}" + (f" over {one.over}" if one.over else ", no interval")
    return Cell(f"{turned.value:+.3f}", turned.value, kind, tip)


def costs(found: Told) -> Section | None:
    """Parameters, steps, seconds."""
    if not found.costs:
        return None
    names = ("parameters", "pretraining_steps", "pretraining_seconds", "evaluation_steps", "evaluation_seconds")
    kept = [name for name in names if any(cost.get(name) is not None for cost in found.costs)]
    lines = []
    for cost in found.costs:
        line: list[Any] = [_named(str(cost["run"]))]
        for name in kept:
            value = cost.get(name)
            shown = NONE if value is None else duration(value) if name.endswith("seconds") else number(value)
            line.append(Cell(shown, value))
        lines.append(line)
    head = ["run", *(name.removesuffix("_seconds").replace("_", " ") for name in kept)]
    head = [{"parameters": "encoder parameters", "pretraining": "pretraining time", "evaluation": "evaluation time"}
            .get(name, name) for name in head]  # fmt: skip
    shown = table(head, lines, "Cost of each run", class_="numbers sortable")
    return Section("cost", "What it cost", "Cost", tag("div", lead("Means over seeds."), shown))
