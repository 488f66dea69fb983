"""The rows of the arms as the tables of docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results_plan import STUDIES, Study

from ssl_platform.transfer.comparison_text import figure
from ssl_platform.transfer.intervals import over_seeds, paired_difference
from ssl_platform.types import Metric

Rows = Sequence[Mapping[str, Any]]
COLUMNS = {"knn": "kNN", "linear": "linear probe", "finetune": "fine-tune, 10 % of the labels"}
METRIC = {"classification": "accuracy", "segmentation": "dice"}
SEEDS = "pretraining seeds"
BEGIN, END = "<!-- results: written by benchmarks/results.py -->\n", "<!-- end of results -->"


def page(rows: Rows, simple: Mapping[str, Mapping[str, Mapping[str, float]]], about: Mapping[str, str]) -> str:
    """A section a study.

    Args:
        rows: of all arms.
        simple: metrics by baseline by study.
        about: a line about each study.
    """
    parts = []
    for name, study in STUDIES.items():
        own = [row for row in rows if row["study"] == name]
        if own:
            parts.append(f"### {name}\n\n{about[name]}\n\n{section(study, own, simple.get(name, {}))}")
    return "\n".join(parts)


def section(study: Study, rows: Rows, simple: Mapping[str, Mapping[str, float]]) -> str:
    """Means over seeds with their interval, and under them the paired difference from random weights."""
    metric = METRIC[study.task]
    asked = [name for name in COLUMNS if any(name in row["figures"] for row in rows)]
    lines = [["encoder", *(COLUMNS[name] for name in asked), "seeds", "training, s"]]
    lines.append(["---"] * len(lines[0]))
    beside = _by_seed(rows, "random")
    for encoder in study.encoders:
        seeds = _by_seed(rows, encoder)
        if not seeds:
            continue
        cells = [_cell(seeds, beside, protocol, metric, encoder) for protocol in asked]
        title = study.objective(encoder)
        seconds = over_seeds([row["seconds"]["train"] for row in seeds.values()], SEEDS).value
        lines.append([title, *cells, str(len(seeds)), f"{seconds:.0f}"])
    for title, metrics in simple.items():
        cells = ["-"] * len(asked)
        cells[asked.index("linear" if "linear" in asked else asked[-1])] = f"{metrics[metric]:.3f} (all labels)"
        lines.append([f"*no network:* {title}", *cells, "-", "-"])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(seeds: Mapping[int, Any], beside: Mapping[int, Any], protocol: str, metric: str, encoder: str) -> str:
    """`0.812 [0.750, 0.860]; +0.120 [+0.080, +0.160]`: the second from random weights, in bold where it is above."""
    values = [row["figures"][protocol][metric] for row in seeds.values()]
    text = figure(over_seeds(values, SEEDS))
    both = [seed for seed in seeds if seed in beside]
    if encoder == "random" or not both:
        return text
    apart = paired_difference(
        [seeds[seed]["figures"][protocol][metric] for seed in both],
        [beside[seed]["figures"][protocol][metric] for seed in both],
        SEEDS,
    )
    shown = figure(apart, "+")
    return f"{text}<br>{f'**{shown}**' if _above(apart) else shown}"


def _above(apart: Metric) -> bool:
    """Whether a difference lies above zero with all of its interval."""
    return apart.ci95 is not None and apart.ci95[0] > 0


def _by_seed(rows: Rows, encoder: str) -> dict[int, Mapping[str, Any]]:
    return {row["seed"]: row for row in rows if row["encoder"] == encoder}


def write(path: Path, text: str) -> None:
    """Put the tables between their marks.

    Raises:
        SystemExit: the page has none.
    """
    old = path.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{path}: lacks the lines {BEGIN.strip()} and {END} between which tables are written")
    before, _, rest = old.partition(BEGIN)
    path.write_text(before + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")
