"""A model comes back from its files as it was written, or one line says why it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssl_platform import encoder as encoder_files
from ssl_platform.errors import ConfigError, EncoderError
from ssl_platform.transfer.model import ModelRecord, TransferModel, load_model, write_model
from ssl_platform.transfer.task import Task
from ssl_platform.types import View

Write = Callable[..., Path]
TASKS = {
    "classification": Task("classification", ("a", "b", "c"), None),
    "multi-label": Task("multi-label", ("a", "b")),
    "regression": Task("regression"),
    "segmentation": Task("segmentation", ("0", "7")),
}


def batch(size: int = 16) -> View:
    return View(torch.randn(2, 1, size, size, size), channels=("c0",), spacing=torch.full((2, 3), 2.0))


def made(path: Path, kind: str, frozen: bool = False) -> tuple[TransferModel, ModelRecord]:
    encoder = encoder_files.load_encoder(path)
    model = TransferModel(encoder.model, TASKS[kind], 4, frozen)
    values = (0, 7) if kind == "segmentation" else ()
    return model.eval(), ModelRecord(encoder.record, TASKS[kind], values, 4, "frozen" if frozen else "full", 3)


@pytest.mark.parametrize("kind", TASKS)
def test_files_give_the_model_back(kind: str, toy_encoder: Write, tmp_path: Path) -> None:
    model, record = made(toy_encoder(), kind)
    model.shift.fill_(5.0)
    write_model(tmp_path / "run", model, record)
    again, found = load_model(tmp_path / "run")
    assert found == record
    assert json.loads((tmp_path / "run" / "model.json").read_text())["task"]["kind"] == kind
    x = batch()
    with torch.no_grad():
        assert torch.equal(model(x), again(x))
        assert model(x).shape == (2, TASKS[kind].outputs, *([16] * 3 if kind == "segmentation" else []))
    assert [p.name for p in (tmp_path / "run").iterdir() if p.name.endswith(".tmp")] == []


@pytest.mark.parametrize("backbone", ["vit-pico", "convnet-tiny"])
@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_a_frozen_encoder_gets_no_gradient_and_keeps_its_mode(kind: str, backbone: str, toy_encoder: Write) -> None:
    model, _ = made(toy_encoder(backbone=backbone), kind, frozen=True)
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    model.train()
    model(batch()).square().mean().backward()
    assert not model.backbone.training and model.head.training
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in model.head.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.backbone.state_dict().items())


def test_regression_speaks_in_the_unit_of_its_target(toy_encoder: Write) -> None:
    model, _ = made(toy_encoder(), "regression")
    x = batch()
    with torch.no_grad():
        plain = model(x)
        model.shift.fill_(40.0), model.scale.fill_(12.0)
        torch.testing.assert_close(model(x), plain * 12 + 40)


def test_one_line_errors(toy_encoder: Write, tmp_path: Path) -> None:
    run = toy_encoder()
    model, record = made(run, "classification")
    path = write_model(tmp_path / "run", model, record)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EncoderError, match="truncated or not a model file") as error:
        load_model(path)
    assert "\n" not in str(error.value)
    with pytest.raises(EncoderError, match=r"no model\.safetensors in this folder; give a run of finetune"):
        load_model(run)
    with pytest.raises(EncoderError, match="not a model of finetune"):
        load_model(run / "encoder.safetensors")
    with pytest.raises(EncoderError, match="no such run folder"):
        load_model(tmp_path / "absent")
    with pytest.raises(EncoderError, match="newer ssl-platform"):
        ModelRecord.from_dict({**record.as_dict(), "format": 99})
    model.backbone.spec = None
    with pytest.raises(ConfigError, match="segmentation needs an encoder that was built by name"):
        TransferModel(model.backbone, TASKS["segmentation"])
