"""Everything a run's page says, collected from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_platform.errors import UsageError
from ssl_platform.report import album as albums
from ssl_platform.report import analysis_section
from ssl_platform.report.album import Album
from ssl_platform.report.comparison_content import Told
from ssl_platform.report.comparison_sections import figures as comparison_figures
from ssl_platform.report.curves import Chart, further_charts, loss_chart
from ssl_platform.report.figures import Figure, Score, figures_of, scores_of
from ssl_platform.report.health_charts import health_charts
from ssl_platform.report.panels import Panel, panels_of
from ssl_platform.report.redaction import Redaction, without_classes
from ssl_platform.report.texts import commands_of, environment_of, methods_of, quarantine_of, settings_of, text_of
from ssl_platform.train.metrics import read_rows
from ssl_platform.train.run import read_config, read_result

_BY_METRIC = ("metrics", "baselines")


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
        analysis: what a representation knows, of an analysis.
        comparison: the table, of a comparison.
        panels: what was predicted for the test items, a protocol each.
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
    analysis: analysis_section.Analysis | None = None
    comparison: Told | None = None
    panels: list[Panel] = field(default_factory=list)


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
    analysis = analysis_section.read(run, anonymous)
    if analysis is not None:  # its tables hold them, and names of folders are theirs to leave out
        result = {**result, "metrics": {}, "baselines": {}}
    if anonymous:
        names = without_classes(result.get("metrics") or {})
        result = {**result, **{k: {names.get(n, n): v for n, v in (result.get(k) or {}).items()} for k in _BY_METRIC}}
    album = albums.load(run)
    config = read_config(run) or {}
    facts = album.facts if album is not None else {}
    sensitive = bool(facts.get("sensitive", _sensitive(config.get("domain"))))
    redaction = Redaction(anonymous, sensitive, salt=str(result.get("data_id") or ""))
    rows = read_rows(run / "metrics.csv")
    health = result.get("health") or {}
    untrained = (result.get("baselines") or {}).get("untrained") or {}
    methods, reasons = methods_of(run)
    shown = None if album is None else redaction.album(album)
    loss = loss_chart(rows, facts.get("trivial"))
    comparison = Told.of(_comparison(run), anonymous) if result.get("command") == "compare" else None
    return Content(
        command=str(result.get("command", "run")),
        status=str(result.get("status", "")),
        about=_about(config, result, redaction),
        verdict=str(health.get("verdict", "")) if result.get("command") == "pretrain" else "",
        cause=str(health.get("cause", "")),
        banner=sensitive and not anonymous and comparison is None,
        anonymous=anonymous,
        figures=list(figures_of(result, facts, untrained))
        if comparison is None
        else comparison_figures(comparison, result),
        scores=list(scores_of(result)) if comparison is None else [],
        overlap=str(result.get("overlap") or ""),
        curves=([loss] if loss else []) + further_charts(rows),
        health=health_charts(rows, untrained),
        album=shown,
        quarantined=int(result.get("quarantined") or 0),
        quarantine=quarantine_of(run, redaction),
        settings=settings_of(config, reasons, redaction),
        commands=commands_of(run, result, redaction),
        environment=list(environment_of(run, result)),
        methods=methods,
        citation=text_of(run / "CITATION.bib"),
        error=redaction.message(str(result["error"])) if result.get("error") else "",
        analysis=analysis,
        comparison=comparison,
        panels=[] if comparison is not None else panels_of(run, result, redaction),
    )


def _comparison(run: Path) -> dict[str, Any]:
    try:
        found = json.loads((run / "compare.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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


def _about(config: Mapping[str, Any], result: Mapping[str, Any], redaction: Redaction) -> list[str]:
    """What ran: of pretraining domain, objective and backbone, of an evaluation domain, task and encoder."""
    names = [(config.get(key) or {}).get("name") for key in ("objective", "backbone")]
    if result.get("command") != "pretrain":
        what = "model" if result.get("command") == "predict" else "encoder"
        several = str(result.get(what) or "").split(", ")  # encoders of an analysis
        used = "" if redaction.anonymous else ", ".join(Path(one).name for one in several)
        names = [result.get("task"), f"{what} {used}" if used else None]
    words = [str(word) for word in (config.get("domain"), *names) if word]
    return words or [str(result.get("command"))]
