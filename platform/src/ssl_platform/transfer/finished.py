"""Finished evaluations side by side: what `compare` reads from runs' `result.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_platform.errors import ConfigError, DataError, UsageError
from ssl_platform.train.run import read_result
from ssl_platform.transfer.comparison import Comparison
from ssl_platform.types import Metric

COMMANDS = ("pretrain", "probe", "finetune")


def tabulate(runs: Sequence[str], protocols: Sequence[str] = ()) -> tuple[list[Comparison], dict[str, Any]]:
    """Rows of finished runs, by metric, and the ids they share.

    Args:
        runs: folders.
        protocols: only metrics of these; all when empty.

    Raises:
        UsageError: a run is missing or has nothing to show, or they were not measured on the same items.
    """
    found = {name: result_of(run) for name, run in zip(names_of(runs), runs, strict=True)}
    ids = {key: same(found, key, what) for key, what in (("data_id", "other data"), ("split_id", "another split"))}
    same(found, "labels_unit", "other units")
    same({name: {"finetune.fold": _fold(result)} for name, result in found.items()}, "finetune.fold", "other rounds")
    rows = [
        Comparison(name, metric, value, *_baseline(result, metric))
        for name, result in found.items()
        for metric, value in _metrics(result).items()
        if not protocols or metric.split("/")[0] in protocols
    ]
    if not rows:
        told = f" of {', '.join(protocols)}" if protocols else ""
        raise ConfigError(f"compare: the runs have no finished metrics{told}: run probe, or give --labels to measure")
    order = list(dict.fromkeys(row.metric for row in rows))
    return sorted(rows, key=lambda row: order.index(row.metric)), ids


def result_of(run: str) -> dict[str, Any]:
    """`result.json` of a finished run.

    Raises:
        UsageError: there is none, or the run is of another command or not finished.
    """
    result = read_result(Path(run).expanduser())
    if result is None:
        raise UsageError(f"{run}: no result.json in it; give folders of {', '.join(COMMANDS)}, or --labels to measure")
    if result.get("command") not in COMMANDS:
        raise UsageError(f"{run}: is a run of {result.get('command')}; compare takes {', '.join(COMMANDS)}")
    if result.get("status") != "done":
        raise UsageError(f"{run}: is {result.get('status')}, not done; finish it or leave it out")
    return result


def same(found: Mapping[str, Mapping[str, Any]], key: str, what: str) -> str | None:
    """The value of `key` in all results that have one.

    Raises:
        DataError: two differ; the line names both.
    """
    known = {name: str(result[key]) for name, result in found.items() if result.get(key)}
    if not known:
        return None
    (first, value), *others = known.items()
    for other, its in others:
        if its != value:
            raise DataError(
                f"{first} and {other} were measured on {what}: {key} {value} and {its}; "
                "measure both alike with compare --labels, or compare them apart"
            )
    return value


def _fold(result: Mapping[str, Any]) -> Any:
    """The round of a cross-validation whose test items a run of `finetune` scored, `all` of them, or None."""
    details = (result.get("details") or {}).get("finetune")
    return details.get("fold") if isinstance(details, Mapping) else None


def names_of(runs: Sequence[str]) -> list[str]:
    """Folder names, or whole paths where those are not unique."""
    short = [Path(run).name or run for run in runs]
    return [name if short.count(name) == 1 else run for name, run in zip(short, runs, strict=True)]


def _metrics(result: Mapping[str, Any]) -> dict[str, Metric]:
    found = {}
    for name, value in (result.get("metrics") or {}).items():
        metric = _metric(value)
        if metric is not None:
            found[name] = metric
    return found


def _metric(value: Any) -> Metric | None:
    if isinstance(value, int | float):
        return Metric(float(value))
    if not isinstance(value, Mapping) or value.get("value") is None:
        return None
    ci = value.get("ci95")
    return Metric(float(value["value"]), None if ci is None else (float(ci[0]), float(ci[1])), value.get("ci_over"))


def _baseline(result: Mapping[str, Any], metric: str) -> tuple[str, Metric | None]:
    beside = (result.get("baselines") or {}).get(metric)
    if not isinstance(beside, Mapping):
        return "", None
    for word in ("random", "scratch"):
        value = _metric(beside.get(word))
        if value is not None:
            return word, value
    return "", None
