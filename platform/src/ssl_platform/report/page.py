"""`report.html`: one file without anything outside it, under a policy that lets nothing else in.

The page reads without scripts; its own script draws the curves and the map. No text of a run becomes markup, and the
content security policy names the one style sheet and the one script by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.data.files import replace_file
from ssl_platform.report import (
    analysis_section,
    comparison_sections,
    evaluation_sections,
    picture_sections,
    prediction_sections,
    sections,
)
from ssl_platform.report.comparison_content import Told
from ssl_platform.report.content import Content, collect
from ssl_platform.report.markup import Html, tag
from ssl_platform.report.pictures import data_uri, thumbnail
from ssl_platform.report.section import Section

NAME, ANONYMOUS_NAME = "report.html", "report-anonymous.html"
MAX_BYTES = 3_000_000
_SHRINK = (1.0, 0.7, 0.5, 0.35, 0.2)
_LEAST_SIDE = 16
_MAP_CELLS = 4096
_SCRIPTS = ("chart.js", "map.js", "tables.js", "tips.js", "page.js")


def write(run: Path, anonymous: bool = False) -> Path:
    """Write the page of a run folder.

    Args:
        run: the folder; whatever is missing in it is left out of the page.
        anonymous: leave out paths, names and pictures; such a page lies beside the other one.

    Returns:
        Path of the page, of at most `MAX_BYTES`.

    Raises:
        UsageError: it is no run folder.
    """
    content = collect(run, anonymous)
    page = b""
    for factor in _SHRINK:
        page = html(content, factor).encode("utf-8")
        if len(page) <= MAX_BYTES:
            break
    else:
        content.album = None
        page = html(content, 1.0).encode("utf-8")
    path = run / (ANONYMOUS_NAME if anonymous else NAME)
    with replace_file(path) as temporary:
        temporary.write_bytes(page)
    return path


def html(content: Content, factor: float = 1.0) -> str:
    """The page as text.

    Args:
        content: what it says.
        factor: of the size of pictures.
    """

    def encode(picture: np.ndarray) -> str:
        longest = max(picture.shape[:2])
        return data_uri(thumbnail(picture, max(min(longest, _LEAST_SIDE), round(longest * factor))))

    parts = [
        *(_compared(content.comparison) if content.comparison is not None else ()),
        sections.scores(content),
        analysis_section.analysis(content.analysis),
        *prediction_sections.sections(content),
        evaluation_sections.examples(content, encode),
        evaluation_sections.objects(content, encode),
        sections.health(content),
        sections.curves(content),
        picture_sections.reconstructions(content, encode),
        picture_sections.views(content, encode),
        evaluation_sections.looks(content, encode),
        picture_sections.embedding(content),
        picture_sections.neighbours(content, encode),
        sections.quarantine(content),
        sections.settings(content),
        sections.reproduce(content),
    ]
    shown = [part for part in parts if part is not None]
    links = [tag("a", part.short, href=f"#{part.id}") for part in shown]
    body = tag(
        "body",
        tag("a", "skip to the results", href="#main", class_="skip"),
        sections.banner(content),
        sections.head(content),
        tag("nav", links, aria_label="Sections") if links else None,
        tag("main", [part.html() for part in shown], _missing(content), id="main"),
        tag("footer", "Written by ssl-platform. This page is one file and reaches nothing outside it."),
        tag("script", Html(inlined(_data(content, encode))), type="application/json", id="data"),
        tag("script", Html(script())),
    )
    return f"<!doctype html>\n{tag('html', _head(content), body, lang='en')}\n"


def _compared(found: Told) -> list[Section | None]:
    return [
        comparison_sections.overview(found),
        *comparison_sections.metrics(found),
        comparison_sections.differences(found),
        comparison_sections.costs(found),
    ]


def _missing(content: Content) -> Html | None:
    if content.anonymous or content.album is None or not content.album.missing:
        return None
    lines = [tag("li", line) for line in content.album.missing]
    return tag("section", tag("h2", "Left out"), tag("ul", lines), id="missing")


def _head(content: Content) -> Html:
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style())}'; script-src '{_hash(script())}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"{content.verdict or content.status} · {' '.join(content.about)}"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", Html(style())),
    )


# -------------------------------------------------------------------------------------------------- style and script
def _asset(name: str) -> str:
    return resources.files("ssl_platform.report").joinpath("assets", name).read_text(encoding="utf-8")


def style() -> str:
    """The style sheet."""
    return _asset("page.css")


def script() -> str:
    """The script, one scope for all of its files."""
    return "(() => {\n'use strict';\n" + "\n".join(_asset(name) for name in _SCRIPTS) + "})();\n"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


# ------------------------------------------------------------------------------------------------------------- data
def inlined(data: Any) -> str:
    """JSON that can stand inside a script element: no character in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(content: Content, encode: picture_sections.Encode) -> dict[str, Any]:
    charts = [chart.as_dict() for chart in (*content.health, *content.curves)]
    found = None if content.album is None else content.album.embedding
    if found is None:
        return {"charts": charts, "map": None}
    in_rows = {place for one in found.neighbours for place in (one.query, *one.found)}
    places = (found.places * (_MAP_CELLS - 1)).round().astype(int)
    target: list[float | None] | None = None
    if found.target is not None:
        known = found.target >= 0 if found.classes else np.isfinite(found.target)
        target = [float(f"{v:.5g}") if k else None for v, k in zip(found.target.tolist(), known.tolist(), strict=True)]
    return {
        "charts": charts,
        "map": {
            "cells": _MAP_CELLS,
            "x": places[:, 0].tolist(),
            "y": places[:, 1].tolist(),
            "items": found.items,
            "target": target,
            "classes": list(found.classes),
            # Pictures that stand in the rows of neighbours are taken from there.
            "thumbnails": {str(i): encode(p) for i, p in found.thumbnails.items() if i not in in_rows},
        },
    }
