"""Pages of real runs over the toy domain."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.report import album as albums
from ssl_platform.report import snapshot

TOY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""


@pytest.fixture
def run(install: Callable[..., str], tmp_path: Path) -> Callable[..., Path]:
    install("ssl-platform-toy", TOY)

    def one(objective: str, name: str = "run", **overrides: Any) -> Path:
        chosen = {
            "trainer.max_steps": 3,
            "data.batch_size": 4,
            "backbone.depth": 1,
            "backbone.dim": 32,
            "backbone.heads": 2,
            "health.enabled": False,
            "scale": "tiny",
            "cache.dir": str(tmp_path / "cache"),
            **overrides,
        }
        api.pretrain(domain="toy", objective=objective, backbone="vit-pico", run=tmp_path / name, overrides=chosen)
        return tmp_path / name

    return one


def test_a_run_ends_with_its_page(run: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("mae")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.splitlines()[-1] == f"report {folder / 'report.html'}"
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "done" and result["paths"]["report"] == str(folder / "report.html")
    made = albums.load(folder)
    assert made is not None and made.missing == []
    assert len(made.views) == 6 and [name for name, _ in made.views[0].views] == ["as read", "global"]
    assert made.embedding is not None and made.embedding.items == [f"item{i}.npy" for i in range(8)]
    assert set(made.embedding.classes) == {"ball", "box"} and len(made.embedding.thumbnails) == 8
    assert "had not ended" not in text and text.count("data:image/png") > 20


def test_reconstructions_keep_what_was_visible(run: Callable[..., Path]) -> None:
    made = albums.load(run("mae"))
    assert made is not None and len(made.reconstructions) == 6
    for one in made.reconstructions:
        hidden = one.visible[..., 1] == 0
        assert 0.5 < hidden.mean() < 0.95 and 0 < one.error < 10
        kept = np.abs(one.input.astype(int) - one.filled.astype(int))[~hidden]
        changed = np.abs(one.input.astype(int) - one.filled.astype(int))[hidden]
        assert np.median(kept) <= 25 and changed.mean() > kept.mean()


def test_every_view_of_a_multi_crop_run_is_shown(run: Callable[..., Path]) -> None:
    made = albums.load(run("dino"))
    assert made is not None and made.reconstructions == [] and made.missing == []
    names = [name for name, _ in made.views[0].views]
    assert names[:3] == ["as read", "global 1", "global 2"] and names[3] == "local 1"


def test_pictures_change_no_weight(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with_pictures = (run("byol", "a") / "encoder.safetensors").read_bytes()
    monkeypatch.setattr(snapshot, "take", lambda *_: (_ for _ in ()).throw(RuntimeError("no pictures")))
    without = run("byol", "b")
    from safetensors.numpy import load

    first, second = load(with_pictures), load((without / "encoder.safetensors").read_bytes())
    assert all(np.array_equal(first[k], second[k]) for k in first)


def test_a_failing_page_fails_no_run(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ssl_platform.report.page.write", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    folder = run("mae")
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["status"] == "done"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("warning: no report (disk full)")


def test_a_failing_picture_is_one_line_of_the_page(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ssl_platform.report.item_map.project", lambda z: (_ for _ in ()).throw(ValueError("no map today"))
    )
    text = (run("mae") / "report.html").read_text(encoding="utf-8")
    assert "embedding map: ValueError: no map today" in text and "Reconstructions" in text


def test_a_run_without_pictures_gets_them_when_asked(run: Callable[..., Path]) -> None:
    folder = run("mae")
    first = albums.load(folder)
    shutil.rmtree(folder / "report")
    (folder / "report.html").unlink()
    assert api.report(run=folder) == folder / "report.html"
    again = albums.load(folder)
    assert first is not None and again is not None and first.embedding is not None and again.embedding is not None
    assert np.allclose(first.embedding.places, again.embedding.places, atol=1e-4)
    assert np.array_equal(first.reconstructions[0].filled, again.reconstructions[0].filled)


def test_data_that_is_gone_leaves_a_page_without_pictures(
    run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run("mae")
    shutil.rmtree(folder / "report")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(re.sub(r"paths: \[\]", f"paths: [{tmp_path / 'gone'}]", config))
    capsys.readouterr()
    text = api.report(run=folder).read_text(encoding="utf-8")
    assert "without new pictures" in capsys.readouterr().out and "data:image" not in text and "Training" in text
