"""The tables of an analysis on its page: as they were measured, escaped, without names where asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.record import Row, beside, write
from ssl_platform.analysis.table import tables
from ssl_platform.report import page
from ssl_platform.report.analysis_section import read
from ssl_platform.types import Metric


@pytest.fixture
def rows() -> list[Row]:
    own = [
        Reading.of("calibration_error", "output", "output", Metric(0.1, (0.05, 0.2), "groups")),
        Reading.of("attention_nmi", "layer", "block 0", 0.3, heads=[0.1, 0.5]),
        Reading.of("attention_nmi", "layer", "block 1", float("nan")),
    ]
    random = [Reading.of("attention_nmi", "layer", "block 0", 0.01), Reading.of("other", "layer", "block 0", 2.0)]
    return beside("a <b>", own, random) + beside("a <b> ~ c", [Reading.of("cka", "pair", "output", 0.9)])


@pytest.fixture
def run(rows: list[Row], tmp_path: Path) -> Path:
    write(tmp_path, {"encoders": {"a <b>": {}, "c": {}}, "items": 512}, rows, {"c": {"attention": "it has none"}})
    metrics = {"a <b>: calibration_error": {"value": 0.1}}
    (tmp_path / "result.json").write_text(json.dumps({"command": "analyze", "status": "done", "metrics": metrics}))
    return tmp_path


def test_rows_come_back_from_the_file(run: Path, rows: list[Row]) -> None:
    found = read(run)
    assert found is not None and found["items"] == 512
    assert [row.as_dict() for row in found["rows"]] == [row.as_dict() for row in rows]


def test_tables(rows: list[Row]) -> None:
    text = [line for table in tables(rows) for line in table.text()]
    assert "  calibration error  0.100 [0.050, 0.200]" in text
    assert "  block 0  0.300 (0.010)" in text and "  block 1  -" in text, "what is not defined is a dash"
    assert "a <b> ~ c: alike (CKA)" in text and "  output  0.900" in text


def test_the_page_has_them_and_no_names_where_asked(run: Path) -> None:
    text = page.write(run).read_text(encoding="utf-8")
    assert "What the representation knows" in text and "a &lt;b&gt;: by layer" in text and "<b>" not in text
    assert "c: no attention: it has none" in text
    nameless = page.write(run, anonymous=True).read_text(encoding="utf-8")
    assert "encoder 1 ~ encoder 2: alike (CKA)" in nameless and "encoder 2: no attention" in nameless
    assert "a &lt;b&gt;" not in nameless


def test_names_that_look_like_pairs_are_left_out_too(tmp_path: Path) -> None:
    own = beside("anna ~ b", [Reading.of("rankme", "output", "output", 3.0)])
    pair = beside("anna ~ b ~ its random weights", [Reading.of("cka", "pair", "output", 0.9)])
    write(tmp_path, {"encoders": {"anna ~ b": {}}, "items": 9}, [*own, *pair], {})
    found = read(tmp_path, anonymous=True)
    assert found is not None
    assert [row.encoder for row in found["rows"]] == ["encoder 1", "encoder 1 ~ its random weights"]


def test_a_damaged_file_costs_only_itself(run: Path) -> None:
    for damage in ("{", "[]", json.dumps({"encoders": {}, "items": 1, "unfit": {}, "rows": [{"at": 1}]})):
        (run / "analysis.json").write_text(damage)
        assert read(run) is None
        assert "What the representation knows" not in page.write(run).read_text(encoding="utf-8")
