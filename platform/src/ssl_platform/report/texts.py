"""The texts of a run's page: settings, what to run again, what was set aside, versions, methods."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_platform.report.markup import NONE
from ssl_platform.report.redaction import Redaction

QUARANTINE_ROWS = 200


def text_of(path: Path) -> str:
    """A file's text, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def methods_of(run: Path) -> tuple[str, dict[str, str]]:
    """The paragraph, and the reason of every value that was chosen automatically by its key."""
    paragraph, _, rest = text_of(run / "methods.txt").partition("\n\n")
    reasons = {}
    for line in rest.splitlines():
        if found := re.match(r"- ([\w.]+)=.*?\((.+)\)$", line):
            reasons[found[1]] = found[2]
    return paragraph, reasons


def quarantine_of(run: Path, redaction: Redaction) -> list[tuple[str, str]]:
    """Name and reason of the first items that could not be used."""
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


def settings_of(
    config: Mapping[str, Any], reasons: Mapping[str, str], redaction: Redaction
) -> list[tuple[str, str, str]]:
    """Key, value and reason of each setting.

    Args:
        config: `config.yaml`.
        reasons: of `methods_of`.
        redaction: what must be left out.
    """
    return [
        (key, _plain(redaction.setting(key, value)), redaction.reason(reasons.get(key, "")))
        for key, value in _flat(config)
    ]


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


def commands_of(run: Path, result: Mapping[str, Any], redaction: Redaction) -> list[tuple[str, str]]:
    """Title and text of what to run again."""
    kind = str(result.get("command", "pretrain"))
    found = []
    given = text_of(run / "command.txt").splitlines()
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


def environment_of(run: Path, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Device, versions and what was measured on, by name."""
    try:
        found = json.loads(text_of(run / "environment.json") or "{}")
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
