"""What a representation knows, as a part of the page: the tables of `analysis.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_platform.analysis.record import FILE, OWN_RANDOM, Row
from ssl_platform.analysis.table import tables
from ssl_platform.report.markup import NONE, table, tag
from ssl_platform.report.redaction import LEFT_OUT
from ssl_platform.report.section import Section, lead

Analysis = Mapping[str, Any]
_TEXT = "In brackets is the same number for random weights: what they reach has not been learnt."


def read(run: Path, anonymous: bool = False) -> Analysis | None:
    """What `analyze` wrote into a run folder; None where it wrote nothing that can be read.

    Args:
        run: the folder.
        anonymous: whether encoders, which are called as their folders, get numbers instead of names.
    """
    try:
        text = (run / FILE).read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        names = list(found["encoders"])
        rows = [_renamed(row, names) for row in found["rows"]] if anonymous else found["rows"]
        unfit = {_number(n, names) if anonymous else n: why for n, why in found["unfit"].items()}
        return {"rows": [Row.of(row) for row in rows], "items": int(found["items"]), "unfit": unfit}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def analysis(found: Analysis | None) -> Section | None:
    """The tables, and what did not fit."""
    if found is None or not found["rows"]:
        return None
    parts = []
    for one in tables(found["rows"]):
        lines = [[cell or NONE for cell in line] for line in one.lines]
        parts += [tag("h3", one.title), table(one.head, lines, one.title, class_="numbers")]
    missing = [
        tag("li", f"{encoder}: no {name}: {why}")
        for encoder, own in found["unfit"].items()
        for name, why in own.items()
    ]
    note = lead(f"{_TEXT} Measured on {found['items']:,} items.")
    left = [tag("h3", "Left out"), tag("ul", missing)] if missing else None
    return Section("analysis", "What the representation knows", "Analysis", tag("div", note, parts, left))


def _renamed(row: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The row under numbers: `A`, `A ~ B` and `A ~ its random weights`, whatever characters the names have."""
    whole = str(row["encoder"])
    first = next((name for name in names if whole == name or whole.startswith(f"{name} ~ ")), None)
    if first is None:
        return {**row, "encoder": _number(whole, names)}
    rest = whole.removeprefix(first).removeprefix(" ~ ")
    return {**row, "encoder": " ~ ".join(_number(word, names) for word in (first, rest) if word)}


def _number(name: str, names: list[str]) -> str:
    if name == OWN_RANDOM:
        return name
    return f"encoder {names.index(name) + 1}" if name in names else LEFT_OUT
