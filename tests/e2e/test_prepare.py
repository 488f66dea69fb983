"""Every domain from files to shards to training: the same windows without the source, the same losses, exact resume."""

from __future__ import annotations

import csv
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_platform import api
from ssl_platform.configure import configure
from ssl_platform.data.loader import Loader
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plan import Plan
from ssl_platform.train import checkpoint
from ssl_platform.train.metrics import read_rows

WRITERS = {
    "medical3d": "ssl_platform_medical3d.phantom",
    "multispectral": "ssl_platform_multispectral.fields",
    "wholeslide": "ssl_platform_wholeslide.phantom",
    "video": "ssl_platform_video.scenes",
    "audio": "ssl_platform_audio.sample",
    "pointcloud": "ssl_platform_pointcloud.sample",
}
ROUNDED = ("video", "wholeslide")  # copies; slides whose pixels are no whole fraction of a cell
ITEMS = 6
STEPS = 4
SMALL = {
    "data.batch_size": 2,
    "data.workers": 0,
    "trainer.max_steps": STEPS,
    "trainer.checkpoint_every": 2,
    "trainer.keep": 9,
    "trainer.precision": "32",
    "health.enabled": False,
    "scale": "tiny",
    "optim.lr": 1e-3,
}


def tiny(domain: str, folder: Path) -> Path:
    """A small sample set of a domain in its real formats, under labels and splits of its own."""
    manifest = importlib.import_module(WRITERS[domain]).write_sample_set(folder, 0, ITEMS)
    with manifest.open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)][:ITEMS]
    lines = [f"{path},{'ab'[i % 2]},g{i},{'test' if i > 3 else 'train'}" for i, path in enumerate(paths)]
    (folder / "few.csv").write_text("\n".join(["path,label,group,split", *lines]) + "\n")
    return folder / "few.csv"


def windows(data: OpenData) -> list[Any]:
    loader = Loader(
        data.catalog, data.domain, Plan.single(), window=data.domain.window, batch_size=3, windows_per_item=3
    )
    batches = iter(loader)
    return [next(batches).reads[0]["main"] for _ in range(4)]


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_rows(run / "metrics.csv")]


@pytest.mark.parametrize("domain", WRITERS)
def test_shards_give_what_the_source_gives_without_it(
    domain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tiny(domain, tmp_path / "source")
    before = open_data(configure("pretrain", domain=domain, manifest=manifest))
    expected = windows(before)
    shards = tmp_path / "shards"
    made = api.prepare(manifest=manifest, domain=domain, out=shards, shard_mb=0.5)
    exact = domain != "video" and all(before.domain.packed_exactly(row) for row in before.rows)
    assert made["items"] == ITEMS and made["lossless"] == exact
    assert exact or domain in ROUNDED
    shutil.rmtree(tmp_path / "source")
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    after = open_data(configure("pretrain", domain=domain, data=[shards]))
    assert [row.id for row in after.rows] == [row.id for row in before.rows]
    assert after.catalog.id == before.catalog.id and after.splits.id == before.splits.id
    assert (after.facts.label, after.facts.group) == (before.facts.label, before.facts.group)
    for one, two in zip(expected, windows(after), strict=True):
        assert (one.valid is None) == (two.valid is None)
        assert one.valid is None or torch.equal(one.valid, two.valid)
        if made["lossless"]:
            assert torch.equal(one.data, two.data)
        else:
            assert (one.data.double() - two.data.double()).abs().mean() < 5
    if made["lossless"]:
        assert after.rows == before.rows
        assert not list((tmp_path / "cache").rglob("*.item"))  # nothing was copied


TRAINED = ("audio", "multispectral")
"""One of each form of shards is trained on every time."""


@pytest.mark.parametrize("domain", [d if d in TRAINED else pytest.param(d, marks=pytest.mark.slow) for d in WRITERS])
def test_training_from_shards_is_training_from_the_source_and_resumes_exactly(domain: str, tmp_path: Path) -> None:
    manifest, shards = tiny(domain, tmp_path / "source"), tmp_path / "shards"
    lossless = api.prepare(manifest=manifest, domain=domain, out=shards, shard_mb=0.5)["lossless"]
    if lossless:
        api.pretrain(domain=domain, manifest=manifest, run=tmp_path / "from_source", overrides=SMALL)
    shutil.rmtree(tmp_path / "source")
    api.pretrain(domain=domain, data=[shards], run=tmp_path / "whole", overrides=SMALL)
    if lossless:
        assert losses(tmp_path / "whole") == losses(tmp_path / "from_source")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(checkpoint.folder_of(tmp_path / "cut" / "checkpoints", STEPS))
    result = json.loads((tmp_path / "cut" / "result.json").read_text())
    (tmp_path / "cut" / "result.json").write_text(json.dumps({**result, "status": "running"}))
    api.pretrain(run=tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole") and len(losses(tmp_path / "cut")) == STEPS
    one, two = (checkpoint.read(checkpoint.folder_of(tmp_path / r / "checkpoints", STEPS)) for r in ("whole", "cut"))
    assert all(torch.equal(value, two["backbone"][name]) for name, value in one["backbone"].items())
