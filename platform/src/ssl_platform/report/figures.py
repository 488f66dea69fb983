"""The numbers of a run's page: those at its head and the table of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ssl_platform.analysis.table import WORDS
from ssl_platform.report.markup import NONE, duration, number
from ssl_platform.report.whiskers import score


@dataclass(frozen=True)
class Figure:
    """One number at the head of the page.

    Attributes:
        name: what it is.
        value: as text.
        note: what to compare it with.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Score:
    """One row of the table of results.

    Attributes:
        name: protocol and metric in words.
        value: with its interval.
        beside: the same under each baseline.
        over: what the interval is over.
    """

    name: str
    value: str
    beside: Mapping[str, str]
    over: str


def figures_of(result: Mapping[str, Any], facts: Mapping[str, Any], untrained: Mapping[str, Any]) -> Iterator[Figure]:
    """The numbers at the head of the page.

    Args:
        result: `result.json`.
        facts: of the album.
        untrained: what the monitor saw before the first step.
    """
    shown = list((result.get("metrics") or {}).items())[:2] if result.get("command") == "pretrain" else []
    for name, metric in shown:
        beside = ((result.get("baselines") or {}).get(name) or {}).get("random")
        note = f"random init. {_bare(beside)}" if beside is not None else ""
        yield Figure(spoken(name), _score(metric.get("value")), note)
    rank = (result.get("health") or {}).get("effective_rank")
    if rank is not None:
        yield Figure("effective rank", number(rank), f"untrained {number(untrained.get('effective_rank'))}")
    loss = result.get("loss") or {}
    if loss.get("last") is not None:
        yield Figure("loss", f"{loss['last']:.4g}", f"first step {loss['first']:.4g}" if loss.get("first") else "")
    if result.get("steps"):
        seconds = result.get("seconds")
        yield Figure("steps", f"{result['steps']:,}", f"in {duration(seconds)}" if seconds else "")
    if result.get("samples_per_second"):
        yield Figure("samples a second", number(result["samples_per_second"]))
    if facts.get("items"):
        yield Figure("items trained on", f"{facts['items']:,}", f"{result.get('quarantined') or 0} quarantined")
    if facts.get("parameters"):
        yield Figure("encoder parameters", f"{facts['parameters'] / 1e6:.3g} M")


def _bare(metric: Any) -> str:
    return _score(metric.get("value") if isinstance(metric, dict) else metric)


def spoken(name: str) -> str:
    """A metric's name in words: `knn/balanced_accuracy` is `kNN balanced accuracy`."""
    words = name.replace("/", " ").replace("_", " ").split()
    return " ".join(WORDS.get(word, word) for word in words)


def _score(value: float | None) -> str:
    return NONE if value is None else score(value)


def scores_of(result: Mapping[str, Any]) -> Iterator[Score]:
    """A row for each metric of `result.json`."""
    for name, metric in (result.get("metrics") or {}).items():
        beside = (result.get("baselines") or {}).get(name) or {}
        others = {word: _with_interval(m if isinstance(m, dict) else {"value": m}) for word, m in beside.items()}
        yield Score(spoken(name), _with_interval(metric), others, str(metric.get("ci_over") or ""))


def _with_interval(metric: Mapping[str, Any]) -> str:
    text = _score(metric.get("value"))
    interval = metric.get("ci95")
    return f"{text} [{_score(interval[0])}, {_score(interval[1])}]" if interval else text
