"""An export runs without this package and gives what the encoder gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssl_platform import api
from ssl_platform.errors import EncoderError, UsageError
from ssl_platform.transfer.formats.checks.torch_program import check
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.model import ModelRecord, TransferModel, write_model
from ssl_platform.transfer.portable import PortableEncoder
from ssl_platform.transfer.task import Task
from ssl_platform.types import Features

Write = Callable[..., Path]


def test_an_encoder_runs_elsewhere(toy_encoder: Write, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    result = api.export(encoder=toy_encoder(), out=out)
    assert result["status"] == "done" and result["difference"] < 1e-4
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "check.py",
        "encoder.pt2",
        "example.pt",
        "preprocess.json",
    ]
    about = json.loads((out / "preprocess.json").read_text())
    assert about["shape"] == ["batch", 1, 16, 16, 16] and about["outputs"] == {
        "pooled": ["batch", 24],
        "tokens": ["batch", 8, 24],
    }
    assert about["input"]["spacing"] == [2.0, 2.0, 2.0] and about["input"]["spacing_unit"] == "mm"
    script = str(out / "check.py")
    blocked = f"import runpy, sys; sys.modules['ssl_platform'] = None; runpy.run_path({script!r}, run_name='__main__')"
    ran = subprocess.run([sys.executable, "-I", "-c", blocked], capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and ran.stdout.startswith("OK"), ran.stderr
    # in a batch size that was never traced, beside the encoder itself
    x = torch.randn(5, 1, 16, 16, 16)
    net = torch.export.load(str(out / "encoder.pt2")).module()
    loaded = api.load_encoder(tmp_path / "encoder")
    torch.testing.assert_close(net(x)["pooled"], loaded(x).pooled, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net(x)["tokens"], loaded(x).tokens, atol=1e-5, rtol=1e-4)
    # a changed output is found
    example = torch.load(out / "example.pt", weights_only=True)
    example["output"]["pooled"] += 1
    torch.save(example, out / "example.pt")
    with pytest.raises(ValueError, match="pooled differs"):
        check(out)


def test_cells_without_data_are_invalid(toy_encoder: Write) -> None:
    loaded = api.load_encoder(toy_encoder())
    portable = PortableEncoder(loaded.model, loaded.record).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    x[..., :8] = float("nan")
    view = loaded.record.contract.view_of(x[0], spacing=(2.0, 2.0, 2.0))
    with torch.no_grad():
        torch.testing.assert_close(portable(x)["pooled"], loaded(view).pooled)
        assert not torch.allclose(portable(x.nan_to_num())["pooled"], loaded(view).pooled, atol=1e-3)


def test_one_line_errors(toy_encoder: Write, tmp_path: Path) -> None:
    encoder = toy_encoder()
    (tmp_path / "file").touch()
    for out, words in {encoder: "is not empty", tmp_path / "file": "is a file"}.items():
        with pytest.raises(UsageError, match=words):
            api.export(encoder=encoder, out=out)
    with pytest.raises(UsageError, match="no such run folder"):
        api.export(encoder=tmp_path / "absent", out=tmp_path / "x")
    with pytest.raises(UsageError, match=r"this release writes torch, onnx, timm, monai, nnunet .did you mean 'onnx'"):
        api.export(encoder=encoder, out=tmp_path / "x", format="onx")
    with pytest.raises(UsageError, match="either --encoder or --model"):
        api.export(out=tmp_path / "x")


def test_a_model_runs_elsewhere(toy_encoder: Write, tmp_path: Path) -> None:
    loaded = api.load_encoder(toy_encoder())
    task = Task("segmentation", ("background", "ball"))
    model = TransferModel(loaded.model, task, width=2, frozen=True)
    run = tmp_path / "finetuned"
    run.mkdir()
    write_model(run, model, ModelRecord(loaded.record, task, values=(0, 1), width=2, mode="frozen"))
    api.export(model=run, out=tmp_path / "exported")
    about = json.loads((tmp_path / "exported" / "preprocess.json").read_text())
    assert about["outputs"] == {"output": ["batch", 2, 16, 16, 16]} and about["activation"] == "softmax"
    assert about["classes"] == ["background", "ball"] and about["mask_values"] == [0, 1]
    x = torch.randn(1, 1, 16, 16, 16)
    net = torch.export.load(str(tmp_path / "exported" / "model.pt2")).module()
    view = loaded.record.contract.batch_view(x)
    torch.testing.assert_close(net(x)["output"], model.eval()(view), atol=1e-4, rtol=1e-4)


def written(toy_encoder: Write, run: Path, task: Task) -> TransferModel:
    """A model of an untrained encoder with a head that says something, written to `run`."""
    loaded = api.load_encoder(toy_encoder())
    model = TransferModel(loaded.model, task)
    model.shift.fill_(100.0)
    model.scale.fill_(30.0)
    assert isinstance(model.head, LinearHead)
    torch.manual_seed(0)
    weights = torch.randn(24, task.outputs), torch.randn(task.outputs), torch.randn(24), torch.rand(24) + 0.5
    model.head.start_at(*weights)
    run.mkdir()
    write_model(run, model, ModelRecord(loaded.record, task))
    return model.eval()


def test_a_regression_model_gives_values_in_the_unit_of_its_target(toy_encoder: Write, tmp_path: Path) -> None:
    model = written(toy_encoder, tmp_path / "run", Task("regression"))
    api.export(model=tmp_path / "run", out=tmp_path / "out")
    about = json.loads((tmp_path / "out" / "preprocess.json").read_text())
    assert about["task"] == "regression" and about["activation"] is None
    x = torch.randn(3, 1, 16, 16, 16)
    found = torch.export.load(str(tmp_path / "out" / "model.pt2")).module()(x)["output"]
    view = api.load_encoder(tmp_path / "encoder").record.contract.batch_view(x)
    torch.testing.assert_close(found, model(view), atol=1e-3, rtol=1e-4)
    assert (found - 100).abs().max() > 1


def test_what_torch_cannot_write_is_refused_in_one_line(
    toy_encoder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(toy_encoder, tmp_path / "run", Task("regression"))
    forward = LinearHead.forward

    def choosy(self: LinearHead, features: Features) -> torch.Tensor:
        return forward(self, features) * (2.0 if features.pooled.sum().item() > 0 else 1.0)

    monkeypatch.setattr(LinearHead, "forward", choosy)
    with pytest.raises(
        EncoderError, match=r"this model \(backbone vit-pico\) cannot be written so: .* use predict$"
    ) as error:
        api.export(model=tmp_path / "run", out=tmp_path / "out")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
