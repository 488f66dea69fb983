"""An objective that clusters the whole set now and then, through whole runs: when, over what, and resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Bank
from ssl_platform.nn.clustering import spherical_kmeans
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import REGISTRY, Objective
from ssl_platform.objectives.embedding import pooled
from ssl_platform.plan import Plan, Refresh
from ssl_platform.train import checkpoint
from ssl_platform.types import Loss, Step, Views

ITEMS, SLOTS, K, DIM = 8, 2, 3, 16
DECLARES = """
from ssl_platform.plan import Plan, Refresh
from ssl_platform.plugins import ObjectiveDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_objectives():
    needs = Plan.augmented(2, stable=True, refresh=Refresh("1ep"))
    return [ObjectiveDeclaration("toy-clusters", "nowhere:Nothing", family="clustering", needs=needs)]
"""


class ToyClusters(Objective):
    """Predicts the cluster of each window's own embedding; a bank of them is clustered anew every epoch."""

    name, family, paper = "toy-clusters", "clustering", "nobody: a test, 2026"
    needs = Plan.augmented(2, stable=True, refresh=Refresh("1ep"))

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        self.projector = mlp(backbone.embed_dim, 32, DIM, norm="batch")
        self.bank = Bank(ITEMS * SLOTS, DIM)
        self.register_buffer("prototypes", torch.zeros(K, DIM))
        self.register_buffer("assigned", torch.zeros(ITEMS * SLOTS, dtype=torch.int64))
        self.refreshed: list[tuple[int, Tensor, Tensor]] = []

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        self.refreshed.append((step.step, index.clone(), bank.clone()))
        if step.step == 0:
            self.bank.write(index, F.normalize(self.projector(bank), dim=-1))
        rows = self.bank.read(index)
        self.prototypes = spherical_kmeans(rows, rows[:: len(rows) // K][:K], iterations=5)
        self.assigned[index] = (rows @ self.prototypes.T).argmax(-1)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        z = [F.normalize(self.projector(f), dim=-1) for f in pooled(backbone, views)]
        target = self.assigned[views[0].index]
        loss = torch.stack([F.cross_entropy(part @ self.prototypes.T / 0.1, target) for part in z]).mean()
        return Loss(loss, watch={"bank": z[0]})

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        for seen, made in zip(watch, views, strict=True):
            self.bank.write(made[0].index, seen["bank"])


@pytest.fixture
def clusters(
    toy_run: Callable[..., Any], install: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """`clusters("run")` trains six steps of four windows: an epoch is four steps."""
    install("acme-clusters", DECLARES)
    monkeypatch.setitem(REGISTRY, "toy-clusters", ToyClusters)
    built: list[ToyClusters] = []
    build = ToyClusters.build
    monkeypatch.setattr(ToyClusters, "build", lambda self, *rest: (built.append(self), build(self, *rest))[1])

    def run(name: str, **changes: Any) -> ToyClusters:
        if "resume" not in changes:
            changes = {"data__windows_per_item": SLOTS, "trainer__max_steps": 6, **changes}
        toy_run("toy-clusters", name, **changes)
        return built[-1]

    return run


def test_the_whole_set_is_embedded_at_the_start_and_every_epoch(
    clusters: Callable[..., ToyClusters], capsys: pytest.CaptureFixture[str]
) -> None:
    method = clusters("run")
    assert [step for step, _, _ in method.refreshed] == [0, 4]
    for _, index, bank in method.refreshed:
        assert index.tolist() == list(range(ITEMS * SLOTS)) and bank.shape == (ITEMS * SLOTS, 32)
    assert not torch.equal(method.refreshed[0][2], method.refreshed[1][2]), "the encoder learnt in between"
    assert f"step 4: embedded {ITEMS * SLOTS} windows in" in capsys.readouterr().out


def test_a_refresh_moves_no_draw_of_training(
    clusters: Callable[..., ToyClusters], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass whose result is not used leaves every weight as it is without the pass."""
    refresh = ToyClusters.refresh

    def at_the_start(self: ToyClusters, step: Step, bank: Tensor, index: Tensor) -> None:
        if step.step == 0:
            refresh(self, step, bank, index)

    monkeypatch.setattr(ToyClusters, "refresh", at_the_start)
    ends = []
    for name, steps in (("with", 4), ("without", 0)):
        monkeypatch.setattr("ssl_platform.train.session.refresh_steps", lambda *_, steps=steps: steps)
        clusters(name)
        ends.append(checkpoint.read(checkpoint.folder_of(tmp_path / name / "checkpoints", 6))["backbone"])
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


@pytest.mark.parametrize("at", [2, 4])
def test_resumed_before_and_at_a_refresh_it_is_bit_equal(
    at: int, clusters: Callable[..., ToyClusters], tmp_path: Path
) -> None:
    clusters("whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    for step in range(at + 1, 7):
        shutil.rmtree(checkpoint.folder_of(tmp_path / "resumed" / "checkpoints", step))
    result = tmp_path / "resumed" / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "status": "running"}))
    method = clusters("resumed", resume=True)
    assert [step for step, _, _ in method.refreshed] == ([4] if at < 4 else [])
    one, other = (
        checkpoint.read(checkpoint.folder_of(tmp_path / run / "checkpoints", 6)) for run in ("whole", "resumed")
    )
    for part in ("backbone", "objective"):
        assert one[part].keys() == other[part].keys()
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), f"{part}.{name}"
