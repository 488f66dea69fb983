"""Finished evaluations side by side: what `compare` reads from the folders of runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from ssl_platform.errors import ConfigError, DataError, UsageError
from ssl_platform.train.run import read_config, read_result
from ssl_platform.transfer.comparison import FINETUNE, RANDOM, SCRATCH, Table, tabulated
from ssl_platform.transfer.costs import cost_of
from ssl_platform.transfer.repeats import EVALUATION, PRETRAINING, Cell, Repeat
from ssl_platform.transfer.stored_items import StoredItems
from ssl_platform.transfer.stored_predictions import RANDOM_PREFIX
from ssl_platform.types import Metric

COMMANDS = ("pretrain", "probe", "finetune")
MONITOR = "monitor"
"""Stands for the protocol of figures taken on validation items in the course of pretraining."""
_PER_REPEAT = ("run", "seed", "encoder", "init", "protocol", "cache", "trainer", "resume")


@dataclass(frozen=True)
class Evaluation:
    """A finished run.

    Attributes:
        name: its folder's, or the whole path where that is not unique.
        folder: where it lies.
        result: `result.json`.
        config: `config.yaml`.
        origin: `config.yaml` of the run its encoder comes from.
    """

    name: str
    folder: Path
    result: Mapping[str, Any]
    config: Mapping[str, Any]
    origin: Mapping[str, Any]

    @property
    def role(self) -> str:
        """`random` for random weights as they are, `scratch` for training from them, else empty."""
        if self.result.get("encoder") != RANDOM:
            return ""
        return SCRATCH if self.result.get("command") == FINETUNE else RANDOM

    @property
    def method(self) -> str:
        """What repeats of it share: everything but seeds and draws of labels. Unknown origins are like none other."""
        if not self.role and not self.origin:
            return str(self.folder)
        _, at, step = str(self.result.get("encoder")).rpartition("@")
        own, origin = (_settings(config) for config in (self.config, self.origin))
        return json.dumps([self.role, self.result.get("command"), step if at else "", own, origin], sort_keys=True)

    @property
    def seed(self) -> tuple[Any, Any, Any]:
        """Of pretraining, of the evaluation, and the draw of labels."""
        return self.origin.get("seed"), self.result.get("seed"), self.result.get("labels_draw")

    @property
    def labels(self) -> str:
        """The budget of labels in words; empty for all of them."""
        fraction, count = self.result.get("labels_fraction"), self.result.get("labels_count")
        return (
            f"{100 * fraction:.3g} % of labels"
            if fraction is not None
            else f"{count} labels"
            if count is not None
            else ""
        )

    def metrics(self) -> dict[str, Metric]:
        """By `protocol/metric`; those of pretraining are its monitor's."""
        prefix = f"{MONITOR}/" if self.result.get("command") == "pretrain" else ""
        found = {f"{prefix}{n}": _metric(value) for n, value in (self.result.get("metrics") or {}).items()}
        return {name: metric for name, metric in found.items() if metric is not None}

    def beside(self, metric: str) -> Metric | None:
        """The figure of random weights that was measured with the run itself."""
        found = (self.result.get("baselines") or {}).get(metric.removeprefix(f"{MONITOR}/"))
        return _metric(found.get(RANDOM)) if isinstance(found, Mapping) else None


def tabulate(runs: Sequence[str], protocols: Sequence[str] = ()) -> Table:
    """The table of finished runs. Runs that differ in seeds only are one row.

    Args:
        runs: folders.
        protocols: only metrics of these; all when empty.

    Raises:
        UsageError: a run is missing or has nothing to show, or they were not measured on the same items.
    """
    found = [_evaluation(name, run) for name, run in zip(names_of(runs), runs, strict=True)]
    results = {one.name: one.result for one in found}
    ids = {key: same(results, key, what) for key, what in (("data_id", "other data"), ("split_id", "another split"))}
    same(results, "labels_unit", "other units")
    same({name: {"finetune.fold": _fold(result)} for name, result in results.items()}, "finetune.fold", "other rounds")
    cells, costs, beside = [], [], []
    for name, repeats in _named(_repeated(found)).items():
        own = _cells(name, repeats, protocols)
        cells += own
        # Training from scratch is a baseline of every protocol, whichever are shown.
        beside += _cells(name, repeats, ()) if name == SCRATCH else []
        costs += [cost_of(name, [one.result for one in repeats])] if own else []
    if not cells:
        told = f" of {', '.join(protocols)}" if protocols else ""
        raise ConfigError(f"compare: the runs have no finished metrics{told}: run probe, or give --labels to measure")
    return tabulated(cells, costs, ids, beside)


def _evaluation(name: str, run: str) -> Evaluation:
    folder = Path(run).expanduser()
    result = result_of(run)
    encoder = str(result.get("encoder") or "")
    place = folder if result.get("command") == "pretrain" else Path(encoder.partition("@")[0]).expanduser()
    known = result.get("command") == "pretrain" or encoder not in ("", RANDOM)
    return Evaluation(name, folder, result, read_config(folder) or {}, (read_config(place) or {}) if known else {})


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


def names_of(runs: Sequence[str]) -> list[str]:
    """Folder names, or whole paths where those are not unique."""
    short = [Path(run).name or run for run in runs]
    return [name if short.count(name) == 1 else run for name, run in zip(short, runs, strict=True)]


# ------------------------------------------------------------------------------------------------------------ seeds
def _repeated(found: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Runs that differ in nothing but seeds together; two of one seed are no repeats of one another."""
    groups: dict[str, list[Evaluation]] = {}
    for one in found:
        groups.setdefault(one.method, []).append(one)
    made = []
    for repeats in groups.values():
        several = len({one.seed for one in repeats}) == len(repeats)
        made += [repeats] if several else [[one] for one in repeats]
    return made


def _named(groups: Sequence[list[Evaluation]]) -> dict[str, list[Evaluation]]:
    """Names of the rows: of baselines what they are, of a run its own, of repeats what their names share."""
    roles = [repeats[0].role for repeats in groups]
    named: dict[str, list[Evaluation]] = {}
    for repeats, role in zip(groups, roles, strict=True):
        name = role if role and roles.count(role) == 1 else _shared([one.name for one in repeats])
        if name in named or (name in (RANDOM, SCRATCH) and name != role):
            name = ", ".join(one.name for one in repeats)
        named[name] = repeats
    return named


def _shared(names: Sequence[str]) -> str:
    """`mae` of `mae-seed0` and `mae-seed1`."""
    if len(names) == 1:
        return names[0]
    common = "".join(c[0] for c in takewhile(lambda c: len(set(c)) == 1, zip(*names, strict=False)))
    return re.sub(r"[-_. ]*(seed|s)?[-_=]?$", "", common) or f"{names[0]} +{len(names) - 1}"


def _cells(name: str, repeats: Sequence[Evaluation], protocols: Sequence[str]) -> list[Cell]:
    """A cell for each metric that all repeats have."""
    over = PRETRAINING if len({one.seed[0] for one in repeats}) > 1 else EVALUATION
    own = [one.seed[1:] for one in repeats]
    seeds = ["/".join(map(str, s)) for s in own] if len(set(own)) == len(own) else [str(one.seed[0]) for one in repeats]
    stored = [StoredItems(one.folder, one.result, one.config) for one in repeats]
    random = [StoredItems(one.folder, one.result, one.config, RANDOM_PREFIX) for one in repeats]
    metrics = [one.metrics() for one in repeats]
    made = []
    for metric in metrics[0]:
        if (protocols and metric.split("/")[0] not in protocols) or not all(metric in found for found in metrics):
            continue
        measured = tuple(
            Repeat(seed, found[metric], items.of(metric, found[metric].value))
            for seed, found, items in zip(seeds, metrics, stored, strict=True)
        )
        # One encoder that gives one value under all seeds has nothing that seeds could change.
        fixed = over == EVALUATION and not repeats[0].role and len({repeat.value.value for repeat in measured}) == 1
        cell = Cell(name, metric, measured, over, repeats[0].labels, fixed=fixed)
        beside = [one.beside(metric) for one in repeats]
        known = tuple(
            Repeat(seed, value, items.of(metric, value.value))
            for seed, value, items in zip(seeds, beside, random, strict=True)
            if value is not None
        )
        made.append(replace(cell, own=Cell(RANDOM, metric, known, over)) if len(known) == len(repeats) else cell)
    return made


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what differs from seed to seed."""
    kept = {key: value for key, value in config.items() if key not in _PER_REPEAT}
    labels = config.get("labels")
    return kept | ({"labels": {k: v for k, v in labels.items() if k != "draw"}} if isinstance(labels, Mapping) else {})


def _fold(result: Mapping[str, Any]) -> Any:
    """The round of a cross-validation whose test items a run of `finetune` scored, `all` of them, or None."""
    details = (result.get("details") or {}).get(FINETUNE)
    return details.get("fold") if isinstance(details, Mapping) else None


def _metric(value: Any) -> Metric | None:
    if isinstance(value, int | float):
        return Metric(float(value))
    if not isinstance(value, Mapping) or value.get("value") is None:
        return None
    ci = value.get("ci95")
    return Metric(float(value["value"]), None if ci is None else (float(ci[0]), float(ci[1])), value.get("ci_over"))
