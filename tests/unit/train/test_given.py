"""Frozen encoders given by name, through whole runs: used, never saved, pinned, and missed in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ssl_platform import api
from ssl_platform.encoder import load_encoder, write
from ssl_platform.errors import ConfigError, UsageError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import REGISTRY, Objective
from ssl_platform.plan import ModelSpec, Plan
from ssl_platform.testing.objectives import small_backbone
from ssl_platform.train import checkpoint
from ssl_platform.train.given import load_frozen
from ssl_platform.types import Loss, Views

DECLARES = """
from ssl_platform.plan import ModelSpec, Plan
from ssl_platform.plugins import ObjectiveDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_objectives():
    needs = Plan.single(models=(("teacher", ModelSpec("frozen")),))
    return [ObjectiveDeclaration("toy-distil", "nowhere:Nothing", family="distillation", needs=needs)]
"""


class ToyDistil(Objective):
    """Predicts the pooled features of a given encoder."""

    name, family, paper = "toy-distil", "distillation", "nobody: a test, 2026"
    needs = Plan.single(models=(("teacher", ModelSpec("frozen")),))

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        teacher = models["teacher"]
        assert isinstance(teacher, Frozen)
        self.teacher, self.head = teacher, nn.Linear(backbone.embed_dim, teacher.embed_dim)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        target = self.teacher(views[0]).pooled
        return Loss((self.head(backbone(views[0]).pooled) - target).square().mean())


FEW = {
    "data.batch_size": 4,
    "data.workers": 0,
    "trainer.checkpoint_every": 1,
    "trainer.max_steps": 2,
    "trainer.precision": "32",
    "backbone.depth": 1,
    "backbone.dim": 32,
    "backbone.heads": 2,
    "health.enabled": False,
    "optim.lr": 1e-3,
}


@pytest.fixture
def distil(
    toy_encoder: Callable[..., Path], install: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    """`distil()` trains two steps, given the encoder `first` of random weights unless other models are named."""
    install("acme-distil", DECLARES)
    toy_encoder("first")
    monkeypatch.setitem(REGISTRY, "toy-distil", ToyDistil)

    def run(
        models: Mapping[str, str] | None = None, resume: bool = False, objective: str = "toy-distil", **parts: float
    ) -> Any:
        given = {"teacher": str(tmp_path / "first")} if models is None else models
        keys = {} if resume else {**FEW, **{f"models.{name}": source for name, source in given.items()}}
        keys |= {f"objective.parts.{name.replace('_', '-')}": weight for name, weight in parts.items()}
        return api.pretrain(domain="toy", objective=objective, run=tmp_path / "run", resume=resume, overrides=keys)

    return run


def test_a_run_learns_from_it_saves_only_its_fingerprint_and_names_it(
    distil: Callable[..., Any], tmp_path: Path
) -> None:
    distil()
    state = checkpoint.read(checkpoint.folder_of(tmp_path / "run" / "checkpoints", 2))
    assert set(state["objective"]) == {"teacher.fingerprint", "head.weight", "head.bias"}
    teacher = load_frozen("teacher", str(tmp_path / "first"), load_encoder(tmp_path / "run").model)
    assert torch.equal(state["objective"]["teacher.fingerprint"], teacher.fingerprint)
    record = json.loads((tmp_path / "run" / "encoder.json").read_text())
    assert record["terms"]["models"] == {"teacher": str(tmp_path / "first")}


def test_resume_goes_on_with_the_same_weights_only(
    distil: Callable[..., Any], toy_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    distil()
    checkpoints, result = tmp_path / "run" / "checkpoints", tmp_path / "run" / "result.json"
    whole = checkpoint.read(checkpoint.folder_of(checkpoints, 2))["backbone"]

    def stopped() -> None:
        shutil.rmtree(checkpoint.folder_of(checkpoints, 2))
        result.write_text(json.dumps({**json.loads(result.read_text()), "status": "running"}))

    stopped()
    distil(resume=True)
    again = checkpoint.read(checkpoint.folder_of(checkpoints, 2))["backbone"]
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    stopped()
    shutil.rmtree(tmp_path / "first")
    toy_encoder("first", seed=1)
    with pytest.raises(UsageError, match=r"models\.teacher has other weights than the run began with") as caught:
        distil(resume=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({}, r"needs a trained encoder: models\.teacher=RUN"),
        ({"techer": "first"}, r"models\.techer=first: objective 'toy-distil' takes models\.teacher"),
        ({"teacher": "nowhere"}, r"nowhere"),
    ],
)
def test_a_missing_or_unknown_model_is_one_line_before_anything_is_trained(
    models: dict[str, str], message: str, distil: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        distil(models)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))


def test_a_combination_is_given_the_models_of_its_parts(distil: Callable[..., Any], tmp_path: Path) -> None:
    first = str(tmp_path / "first")
    with pytest.raises(ConfigError, match=r"models\.toy-distil-teacher=RUN"):
        distil({}, objective="multi", toy_distil=1.0, mae=0.5)
    distil({"toy-distil-teacher": first}, objective="multi", toy_distil=1.0, mae=0.5)
    state = checkpoint.read(checkpoint.folder_of(tmp_path / "run" / "checkpoints", 2))
    assert "parts.toy-distil.teacher.fingerprint" in state["objective"]
    record = json.loads((tmp_path / "run" / "encoder.json").read_text())
    assert record["parts"] == ["mae-decoder"] and record["terms"]["models"] == {"toy-distil-teacher": first}
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert "loss/mae" in header and "loss/toy-distil" in header


def test_an_objective_without_models_takes_none(distil: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"models\.teacher=elsewhere: objective 'mae' takes no models"):
        distil({"teacher": "elsewhere"}, objective="mae")


def test_what_was_stored_beside_an_encoder_comes_with_it(toy_encoder: Callable[..., Path], tmp_path: Path) -> None:
    encoder = load_encoder(toy_encoder())
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", encoder.model, encoder.record, {"codebook": nn.Embedding(4, 2)})
    teacher = load_frozen("teacher", str(tmp_path / "other"), encoder.model)
    assert {name: tuple(value.shape) for name, value in teacher.parts.items()} == {"codebook.weight": (4, 2)}


def test_an_encoder_of_other_channels_is_refused(toy_encoder: Callable[..., Path]) -> None:
    student = small_backbone(3, channels=2)
    with pytest.raises(ConfigError, match=r"reads channels c0, the data has c0, c1") as caught:
        load_frozen("teacher", str(toy_encoder()), student)
    assert "\n" not in str(caught.value)
