from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.errors import UsageError
from ssl_platform.report import album as albums
from ssl_platform.report import page
from ssl_platform.report.content import collect
from ssl_platform.testing.run_folder import album, write_run

ATTACK = '</script><script>alert(1)</script><img src=x onerror=alert(2)> <!-- "'
NAMES = ("anna_schmidt_0042", "otto_kern_0043")


def text_of(run: Path, anonymous: bool = False) -> str:
    return page.write(run, anonymous=anonymous).read_text(encoding="utf-8")


def data_of(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def test_the_verdict_comes_first(tmp_path: Path) -> None:
    text = text_of(write_run(tmp_path / "run", verdict="collapsed"))
    assert "Collapsed" in re.search(r"<h1>(.*?)</h1>", text)[1]  # type: ignore[index]
    assert text.index("<h1>") < text.index("<h2>")
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings[0] == "Is it learning?" and {"Training", "Views", "Reconstructions", "Embedding map"} <= set(
        headings
    )
    assert {"Nearest neighbours", "Set aside", "Configuration", "How to reproduce it"} <= set(headings)


def test_the_policy_names_the_script_and_the_style_by_hash(tmp_path: Path) -> None:
    text = text_of(write_run(tmp_path / "run"))
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)[1])  # type: ignore[index]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        body = re.search(rf"<{element}>(.*?)</{element}>", text, re.S)[1]  # type: ignore[index]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert not re.search(r'\son\w+=|style="|javascript:', re.sub(r"<script>.*?</script>", "", text, flags=re.S))


def test_nothing_outside_the_file_is_named(tmp_path: Path) -> None:
    text = text_of(write_run(tmp_path / "run"))
    assert set(re.findall(r'(?:src|href)="([^"#]{0,14})', text)) == {"data:image/png", ""}
    assert "http://" not in text and "https://" not in text and "@import" not in text and "url(" not in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", sensitive=False, result={"status": "failed", "error": ATTACK})
    made = album(20, sensitive=False, names=(ATTACK,))
    assert made.embedding is not None
    made.embedding = replace(made.embedding, classes=(ATTACK, "\u2028"))
    made.missing = [ATTACK]
    albums.save(made, run)
    (run / "config.yaml").write_text(f"domain: {json.dumps(ATTACK)}\nobjective:\n  name: {json.dumps(ATTACK)}\n")
    (run / "CITATION.bib").write_text(ATTACK)
    text = text_of(run)
    assert "<img src=x" not in text and "alert(1)</script>" not in text
    assert text.count("<script") == 2 and text.count("</script") == 2 and "<!--" not in text
    assert data_of(text)["map"]["classes"] == [ATTACK, "\u2028"]
    assert "\u2028" not in text[text.index('id="data"') :]


def test_the_data_is_what_was_measured(tmp_path: Path) -> None:
    data = data_of(text_of(write_run(tmp_path / "run", steps=90)))
    charts = {chart["id"]: chart for chart in data["charts"]}
    assert {"loss", "lr", "terms", "effective_rank", "teacher_entropy", "knn"} <= set(charts)
    assert charts["loss"]["series"][0]["x"][-1] == 90 and charts["loss"]["lines"][0]["y"] == 1.0
    assert len(data["map"]["x"]) == 60 and data["map"]["target"][-1] is None


def test_the_page_stays_small_whatever_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page.MAX_BYTES == 3_000_000
    monkeypatch.setattr(page, "MAX_BYTES", 900_000)
    run = write_run(tmp_path / "run", steps=5000, items=2000)
    made = album(2000)
    rng = np.random.default_rng(0)
    assert made.embedding is not None
    made.embedding.thumbnails = {i: rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for i in range(80)}
    albums.save(made, run)
    assert page.write(run).stat().st_size <= page.MAX_BYTES
    assert len(data_of(text_of(run))["map"]["thumbnails"]) > 70, "pictures became smaller, they were not dropped"


def test_a_sensitive_page_warns_and_names_no_file(tmp_path: Path) -> None:
    text = text_of(write_run(tmp_path / "run"))
    assert "do not share" in text and "anna_schmidt" not in text and "otto_kern" not in text
    assert "truncated" in text
    plain = text_of(write_run(tmp_path / "plain", sensitive=False))
    assert "do not share" not in plain and "anna_schmidt.nii.gz" in plain


def test_an_anonymous_page_has_no_path_no_name_no_picture(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run_of_dr_kern", names=NAMES, result={"error": "anna_schmidt failed", "status": "failed"}
    )
    page.write(run)
    path = page.write(run, anonymous=True)
    found = path.read_bytes()
    for word in (
        *NAMES,
        "anna_schmidt",
        "otto_kern",
        "hospital",
        "run_of_dr_kern",
        str(tmp_path),
        "item000",
        "benign",
        "malignant",
    ):
        assert word.encode() not in found, word
    assert b"data:image" not in found and b"<img" not in found
    assert path.name == "report-anonymous.html" and (run / "report.html").exists()
    assert b"Healthy" in found and len(data_of(found.decode())["map"]["x"]) == 60, "numbers stay"


def test_every_picture_has_a_text_and_headings_have_no_gap(tmp_path: Path) -> None:
    text = text_of(write_run(tmp_path / "run"))
    pictures = re.findall(r"<img [^>]*>", text)
    assert len(pictures) > 10 and all(re.search(r'alt="[^"]+"', one) for one in pictures)
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert all('tabindex="0"' in one and "aria-label" in one for one in re.findall(r"<canvas[^>]*>", text))
    assert '<html lang="en">' in text


def test_a_bare_folder_makes_a_short_page(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"command": "pretrain", "status": "running"}))
    text = text_of(tmp_path)
    assert "had not ended" in text and data_of(text) == {"charts": [], "map": None}


def test_an_evaluation_shows_intervals_and_baselines(tmp_path: Path) -> None:
    metric = {"value": 0.812, "ci95": [0.75, 0.86], "ci_over": "groups"}
    beside = {"random": {"value": 0.412, "ci95": [0.33, 0.49], "ci_over": "groups"}}
    result = {
        "command": "probe",
        "status": "done",
        "overlap": "0 of 36 test items were in pretraining",
        "metrics": {"knn/accuracy": metric},
    }
    (tmp_path / "result.json").write_text(json.dumps(result | {"baselines": {"knn/accuracy": beside}}))
    text = text_of(tmp_path)
    assert "kNN accuracy 0.812 [0.750, 0.860]" in re.search(r"<h1>(.*?)</h1>", text)[1]  # type: ignore[index]
    assert "<td>0.412 [0.330, 0.490]</td>" in text and "<td>groups</td>" in text
    assert "0 of 36 test items were in pretraining." in text


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a run folder"):
        page.write(tmp_path)


def test_reasons_stand_beside_their_values(tmp_path: Path) -> None:
    content = collect(write_run(tmp_path / "run"))
    assert ("optim.lr", "0.001", "steady") in content.settings
    assert content.commands[1][1].startswith("ssl-platform pretrain --config ")


def test_the_page_needs_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    run = write_run(tmp_path / "run")
    code = f"import sys\nfrom ssl_platform.report import page\npage.write(__import__('pathlib').Path({str(run)!r}))\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
