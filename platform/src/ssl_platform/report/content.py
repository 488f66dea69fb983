"""Everything a run's page says, collected from its folder."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_platform.errors import UsageError
from ssl_platform.report import album as albums
from ssl_platform.report.album import Album
from ssl_platform.report.curves import Chart, further_charts, loss_chart
from ssl_platform.report.health_charts import health_charts
from ssl_platform.report.markup import NONE, duration, number
from ssl_platform.report.redaction import Redaction
from ssl_platform.train.metrics import read_rows
from ssl_platform.train.run import read_config, read_result

QUARANTINE_ROWS = 200


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


@dataclass
class Content:
    """What the page says, with everything left out that must be.

    Attributes:
        command, status: of the run.
        about: domain, objective, backbone, as far as known.
        verdict, cause: of health; empty where there was no monitor.
        banner: whether items are people and pictures are shown.
        anonymous: whether paths, names and pictures are left out.
        figures: for the head.
        scores: results of evaluations.
        overlap: how many test items were in pretraining; empty when nobody asked.
        curves: loss first.
        health: numbers behind the verdict.
        album: pictures and embeddings, or None.
        quarantined: how many items could not be used.
        quarantine: name and reason of the first of them.
        settings: key, value and reason of each setting.
        commands: title and text of what to run again.
        environment: name and value.
        methods, citation: texts.
        error: why the run failed.
    """

    command: str
    status: str
    about: list[str]
    verdict: str
    cause: str
    banner: bool
    anonymous: bool
    figures: list[Figure] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    overlap: str = ""
    curves: list[Chart] = field(default_factory=list)
    health: list[Chart] = field(default_factory=list)
    album: Album | None = None
    quarantined: int = 0
    quarantine: list[tuple[str, str]] = field(default_factory=list)
    settings: list[tuple[str, str, str]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)
    environment: list[tuple[str, str]] = field(default_factory=list)
    methods: str = ""
    citation: str = ""
    error: str = ""


def collect(run: Path, anonymous: bool = False) -> Content:
    """Read a run folder.

    Args:
        run: the folder; only `result.json` is needed.
        anonymous: leave out paths, names and pictures.

    Raises:
        UsageError: it is no run folder.
    """
    result = read_result(run)
    if result is None:
        raise UsageError(f"{run}: not a run folder (it has no readable result.json)")
    album = albums.load(run)
    config = read_config(run) or {}
    facts = album.facts if album is not None else {}
    sensitive = bool(facts.get("sensitive", _sensitive(config.get("domain"))))
    redaction = Redaction(anonymous, sensitive, salt=str(result.get("data_id") or ""))
    rows = read_rows(run / "metrics.csv")
    health = result.get("health") or {}
    untrained = (result.get("baselines") or {}).get("untrained") or {}
    methods, reasons = _methods(run)
    shown = None if album is None else redaction.album(album)
    loss = loss_chart(rows, facts.get("trivial"))
    return Content(
        command=str(result.get("command", "run")),
        status=str(result.get("status", "")),
        about=_about(config, result),
        verdict=str(health.get("verdict", "")) if result.get("command") == "pretrain" else "",
        cause=str(health.get("cause", "")),
        banner=sensitive and not anonymous,
        anonymous=anonymous,
        figures=list(_figures(result, facts, untrained)),
        scores=list(_scores(result)),
        overlap=str(result.get("overlap") or ""),
        curves=([loss] if loss else []) + further_charts(rows),
        health=health_charts(rows, untrained),
        album=shown,
        quarantined=int(result.get("quarantined") or 0),
        quarantine=_quarantine(run, redaction),
        settings=[(k, _plain(redaction.setting(k, v)), redaction.reason(reasons.get(k, ""))) for k, v in _flat(config)],
        commands=_commands(run, result, redaction),
        environment=list(_environment(run, result)),
        methods=methods,
        citation=_text(run / "CITATION.bib"),
        error=redaction.message(str(result["error"])) if result.get("error") else "",
    )


def _sensitive(domain: Any) -> bool:
    """Whether a domain's items are people; a domain that is not installed here is taken to be sensitive."""
    if domain is None:
        return False
    from ssl_platform.errors import SslPlatformError
    from ssl_platform.plugins import registry

    try:
        kind: Any = registry().load(registry().domain(str(domain)))
    except SslPlatformError:
        return True
    return bool(kind.sensitive)


def _about(config: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    words = [config.get("domain"), *((config.get(key) or {}).get("name") for key in ("objective", "backbone"))]
    return [str(word) for word in words if word] or [str(result.get("task") or result.get("command"))]


# ------------------------------------------------------------------------------------------------------------ numbers
def _figures(result: Mapping[str, Any], facts: Mapping[str, Any], untrained: Mapping[str, Any]) -> Iterator[Figure]:
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
    return " ".join({"knn": "kNN", "auc": "AUC", "hd95": "HD95", "f1": "F1"}.get(word, word) for word in words)


def _score(value: float | None) -> str:
    """Three decimals, so that columns of scores line up; large values as any number."""
    return f"{value:.3f}" if value is not None and abs(value) < 100 else number(value)


def _scores(result: Mapping[str, Any]) -> Iterator[Score]:
    for name, metric in (result.get("metrics") or {}).items():
        beside = (result.get("baselines") or {}).get(name) or {}
        others = {word: _with_interval(m if isinstance(m, dict) else {"value": m}) for word, m in beside.items()}
        yield Score(spoken(name), _with_interval(metric), others, str(metric.get("ci_over") or ""))


def _with_interval(metric: Mapping[str, Any]) -> str:
    text = _score(metric.get("value"))
    interval = metric.get("ci95")
    return f"{text} [{_score(interval[0])}, {_score(interval[1])}]" if interval else text


# -------------------------------------------------------------------------------------------------------------- texts
def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _methods(run: Path) -> tuple[str, dict[str, str]]:
    """The paragraph, and the reason of every value that was chosen automatically by its key."""
    paragraph, _, rest = _text(run / "methods.txt").partition("\n\n")
    reasons = {}
    for line in rest.splitlines():
        if found := re.match(r"- ([\w.]+)=.*?\((.+)\)$", line):
            reasons[found[1]] = found[2]
    return paragraph, reasons


def _quarantine(run: Path, redaction: Redaction) -> list[tuple[str, str]]:
    if redaction.anonymous:
        return []
    try:
        with (run / "quarantine.csv").open(encoding="utf-8", newline="") as stream:
            rows = [row for row, _ in zip(csv.DictReader(stream), range(QUARANTINE_ROWS), strict=False)]
    except OSError:
        return []
    named = [(row.get("path") or "", row.get("reason") or "") for row in rows]
    return [(redaction.item(path), _reason(path, reason, redaction)) for path, reason in named]


def _reason(path: str, reason: str, redaction: Redaction) -> str:
    """The reason without the file's own name where names are left out."""
    if redaction.sensitive:
        for name in (path, Path(path).name):
            reason = reason.replace(name, "the file") if name else reason
    return reason


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys of the sections. What lies deeper is a value: its keys may be names of files."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from ((f"{key}.{name}", one) for name, one in value.items())
        else:
            yield key, value


def _plain(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _commands(run: Path, result: Mapping[str, Any], redaction: Redaction) -> list[tuple[str, str]]:
    kind = str(result.get("command", "pretrain"))
    found = []
    given = _text(run / "command.txt").splitlines()
    if given and not redaction.anonymous:
        words = [redaction.word(word) for word in shlex.split(given[0])]
        if words:
            words[0] = Path(words[0]).name
            words[:1] = ["python", "-m", "ssl_platform"] if words[0] == "__main__.py" else words[:1]
        found.append(("As it was started", shlex.join(words)))
    if kind == "pretrain":
        place = "RUN" if redaction.anonymous else str(run)
        again = shlex.join(["ssl-platform", "pretrain", "--config", f"{place}/config.yaml", "--run", f"{place}-again"])
        found.append(("The same run again, every setting and seed as resolved", again))
        found.append(
            ("Use the encoder", shlex.join(["ssl-platform", "probe", "--encoder", place]) + " --data ... --labels ...")
        )
    return found


def _environment(run: Path, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        found = json.loads(_text(run / "environment.json") or "{}")
    except ValueError:
        found = {}
    for key in ("device", "precision", "processes", "threads", "cpus", "cuda", "python", "system"):
        if found.get(key) is not None:
            yield key, str(found[key])
    for group in ("packages", "plugins"):
        for name, version in (found.get(group) or {}).items():
            if version and (group == "packages" or name not in found.get("packages", {})):
                yield name, str(version)
    for key in ("data_id", "split_id"):
        if result.get(key):
            yield key.replace("_", " "), str(result[key])
