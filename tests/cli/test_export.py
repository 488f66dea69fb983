"""Exports load where this package is not, and give what it gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform import api
from ssl_platform import encoder as files
from ssl_platform.cli.main import main
from ssl_platform.encoder import build_backbone
from ssl_platform.encoder_record import EncoderRecord
from ssl_platform.input_contract import InputContract
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.model import ModelRecord, TransferModel, write_model
from ssl_platform.transfer.task import Task
from ssl_platform.types import Channel, Layout

Capture = pytest.CaptureFixture[str]
Write = Callable[..., Path]
SMALL = {"dim": 24, "depth": 2, "heads": 2}
UNET = {"features_per_stage": [4, 8, 8], "strides": [[1, 1, 1], [2, 2, 2], [1, 2, 2]]}
LAYOUTS = {1: ("N C", ("x", "y", "z")), 2: ("C H W", ("red", "green", "blue")), 3: ("C D H W", ("t1", "t2"))}
ENCODERS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "pooled-by-class": ("vit-pico", (32, 24), {**SMALL, "pool": "cls", "registers": 2, "layer_scale": 0.5}),
    "pooled-by-mean": ("vit-pico", (16, 16), {**SMALL, "cls": 0, "pitch": 3.0}),
    "volumes": ("vit-pico", (16, 16, 16), SMALL),
    "points": ("vit-pico", (32,), {**SMALL, "groups": 4}),
    "swin": ("monai:SwinUNETR", (32, 32, 32), {"feature_size": 12, "depths": [1, 1, 1, 1]}),
    "unet": ("monai:UNet", (32, 32, 32), {"features": [4, 4, 8, 8, 8, 4]}),
    "resnet": ("monai:resnet10", (32, 32), {}),
    "timm-vit": ("timm:vit_tiny_patch16_224", (32, 32), {"depth": 3, "embed_dim": 24, "patch_size": 8}),
    "plain": ("nnunet:PlainConvUNet", (16, 16, 16), UNET),
    "residual": ("nnunet:ResidualEncoderUNet", (16, 16), {"features_per_stage": [4, 8, 8]}),
}
EXPORTS = {
    "torch": ("pooled-by-class",),
    "onnx": ("volumes", "points"),
    "timm": ("pooled-by-class", "pooled-by-mean", "timm-vit", "model", "number"),
    "monai": ("swin", "unet", "resnet"),
    "nnunet": ("plain", "residual"),
}
SEGMENTERS = {  # backbone, size of views that the patch does not divide, patch
    ("vit-pico", 2): ((21, 18), (8, 4)),
    ("vit-pico", 3): ((9, 10, 12), (4, 4, 8)),
    ("convnet-tiny", 2): ((21, 18), (8, 8)),
    ("convnet-tiny", 3): ((9, 10, 12), (8, 8, 8)),
}
DECODERS = {"linear": "vit-pico", "fpn": "vit-pico", "unetr": "vit-pico", "skip": "convnet-tiny"}
FEW = [("unetr", 3, "torch"), ("fpn", 2, "onnx")]
ALL = [(decoder, rank, format) for decoder in DECODERS for rank in (2, 3) for format in ("torch", "onnx")]
ELSEWHERE = """
import io, runpy, sys, contextlib
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
for words in sys.argv[1:]:
    format, script = words.split("=", 1)
    blocked = {"ssl_platform"} | ({"torch"} if format == "onnx" else set())
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(script, run_name="__main__")
    assert "torch" not in sys.modules or format != "onnx"
    print(said.getvalue().strip())
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every encoder, and of two models of the first: of three classes, and of a number."""
    folder = tmp_path_factory.mktemp("runs")
    for number, (name, (backbone, size, settings)) in enumerate(ENCODERS.items()):
        torch.manual_seed(number)
        axes, names = LAYOUTS[len(size)]
        layout = Layout(axes=axes, channels=tuple(Channel(n) for n in names), unit="mm")
        rank = 3 if layout.points else len(size)
        spec = BackboneSpec(backbone, layout, names, size, (8,) * len(size), settings)
        net = build_backbone(spec)
        for parameter in net.parameters():  # also those that start at zero
            torch.nn.init.normal_(parameter, mean=float(parameter.data.mean()), std=0.2)
        assert isinstance(net.normaliser, Normaliser)
        net.normaliser.set(torch.arange(1.0, 1 + len(names)), torch.arange(2.0, 2 + len(names)))
        contract = InputContract(axes, names, ("",) * len(names), (2.0,) * rank, "mm", size, {})
        (folder / name).mkdir()
        files.write(folder / name, net, EncoderRecord(spec, contract, "anything", "mae", 7))
    loaded = api.load_encoder(folder / "pooled-by-class")
    tasks = {"model": Task("classification", ("a", "b", "c")), "number": Task("regression")}
    for name, task in tasks.items():
        model = TransferModel(loaded.model, task)
        assert isinstance(model.head, LinearHead)
        model.shift.fill_(100.0)
        model.scale.fill_(30.0)
        weights = torch.randn(24, task.outputs), torch.randn(task.outputs), torch.randn(24), torch.rand(24) + 0.5
        model.head.start_at(*weights)
        (folder / name).mkdir()
        write_model(folder / name, model, ModelRecord(loaded.record, task))
    return folder


@pytest.fixture(scope="module")
def exported(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format of what it holds, written by the command."""
    out = tmp_path_factory.mktemp("exports")
    for format, names in EXPORTS.items():
        for name in names:
            option = "--model" if name in ("model", "number") else "--encoder"
            words = ["export", option, str(written / name), "--format", format, "--out", str(out / f"{format}-{name}")]
            assert main(words) == 0, words
    return out


def test_every_format_runs_where_this_package_is_not(exported: Path) -> None:
    folders = sorted(exported.iterdir(), key=lambda path: not path.name.startswith("onnx"))
    words = [f"{path.name.split('-')[0]}={path / 'check.py'}" for path in folders]
    assert len(words) == 13
    ran = subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = ran.stdout.splitlines()
    assert len(lines) == 13 and all(line.startswith("OK: outputs agree within ") for line in lines)
    assert all(float(line.split()[4]) < 1e-4 for line in lines)


def segmenter(folder: Path, decoder: str, rank: int) -> Path:
    """A model of three classes whose every weight says something."""
    backbone = DECODERS[decoder]
    size, patch = SEGMENTERS[backbone, rank]
    axes, names = LAYOUTS[rank]
    layout = Layout(axes=axes, channels=tuple(Channel(n) for n in names), unit="mm")
    torch.manual_seed(rank)
    spec = BackboneSpec(backbone, layout, names, size, patch, SMALL if backbone == "vit-pico" else {"width": 8})
    net = build_backbone(spec)
    assert isinstance(net.normaliser, Normaliser)
    net.normaliser.set(torch.arange(1.0, 1 + len(names)), torch.arange(2.0, 2 + len(names)))
    task = Task("segmentation", ("ground", "left", "right"))
    model = TransferModel(net, task, width=4, decoder=decoder)
    for parameter in model.parameters():  # norms start at ones and zeros, layer scales near zero
        if parameter.ndim < 2:
            torch.nn.init.normal_(parameter, mean=float(parameter.data.mean()), std=0.2)
    contract = InputContract(axes, names, ("",) * len(names), (2.0,) * rank, "mm", size, {})
    record = ModelRecord(EncoderRecord(spec, contract, "anything", "mae", 7), task, (0, 3, 7), 4, decoder=decoder)
    run = folder / f"{decoder}-{rank}"
    run.mkdir(exist_ok=True)
    write_model(run, model, record)
    return run


@pytest.mark.parametrize("cases", [FEW, pytest.param([c for c in ALL if c not in FEW], marks=pytest.mark.slow)])
def test_models_of_every_decoder_run_where_this_package_is_not(
    cases: list[tuple[str, int, str]], tmp_path: Path
) -> None:
    folders = []
    for decoder, rank, format in sorted(cases, key=lambda case: case[2]):  # ONNX first: torch is not yet imported
        out = tmp_path / f"{format}-{decoder}-{rank}"
        run = segmenter(tmp_path, decoder, rank)
        assert main(["export", "--model", str(run), "--format", format, "--out", str(out)]) == 0
        about = json.loads((out / "preprocess.json").read_text(encoding="utf-8"))
        size, _ = SEGMENTERS[DECODERS[decoder], rank]
        assert about["outputs"] == {"output": ["batch", 3, *size]} and about["mask_values"] == [0, 3, 7]
        folders.append(out)
    words = [f"{folder.name.split('-')[0]}={folder / 'check.py'}" for folder in folders]
    ran = subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = ran.stdout.splitlines()
    assert len(lines) == len(cases) and all(float(line.split()[4]) < 1e-5 for line in lines), lines


def test_every_folder_says_what_it_takes(exported: Path) -> None:
    for folder in exported.iterdir():
        about = json.loads((folder / "preprocess.json").read_text())
        page = (folder / "README.md").read_text()
        assert (folder / about["file"]).exists() and about["file"] in page and str(about["shape"]) in page
        assert about["written_as"] == folder.name.split("-")[0] and about["tolerance"] == 1e-4
        inside = about["written_as"] in ("torch", "onnx", "timm")
        assert ("normalisation is inside" in page) == inside
        if not inside:  # then mean and deviation are told
            assert about["mean"][:2] == [1.0, 2.0] and about["std"][:2] == [2.0, 3.0]


def test_timm_gives_the_vectors_of_new_images(written: Path, exported: Path) -> None:
    import timm

    x = 3 * torch.randn(5, 3, 32, 24) + 1
    net = timm.create_model(f"local-dir:{exported / 'timm-pooled-by-class'}", pretrained=True).eval()
    loaded = api.load_encoder(written / "pooled-by-class")
    with torch.no_grad():
        torch.testing.assert_close(net(x), loaded(x).pooled, atol=1e-4, rtol=1e-4)
        found = net.forward_features(x)[:, net.num_prefix_tokens :]
    torch.testing.assert_close(found, loaded(x).tokens, atol=1e-4, rtol=1e-4)
    about = json.loads((exported / "timm-model" / "config.json").read_text())
    assert about["label_names"] == ["a", "b", "c"] and about["model_args"]["reg_tokens"] == 2


def test_onnx_takes_batches_of_any_size_and_cells_without_data(written: Path, exported: Path) -> None:
    import onnxruntime

    net = onnxruntime.InferenceSession(str(exported / "onnx-volumes" / "encoder.onnx"))
    x = np.random.default_rng(0).normal(size=(3, 2, 16, 16, 16)).astype(np.float32)
    x[1, :, :9] = np.nan
    found = dict(zip([o.name for o in net.get_outputs()], net.run(None, {"x": x}), strict=True))
    loaded = api.load_encoder(written / "volumes")
    view = loaded.record.contract.view_of(x[1], spacing=(2.0, 2.0, 2.0))
    np.testing.assert_allclose(found["pooled"][1], loaded(view).pooled[0], atol=1e-4)
    assert found["tokens"].shape == (3, 8, 24)


def test_what_is_exported_wrongly_is_found(exported: Path, tmp_path: Path) -> None:
    from ssl_platform.transfer.formats.checks.onnx_graph import check

    folder = tmp_path / "copy"
    folder.mkdir()
    for path in (exported / "onnx-volumes").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    example = dict(np.load(folder / "example.npz"))
    np.savez(folder / "example.npz", **{**example, "pooled": example["pooled"] * 1.001})
    with pytest.raises(ValueError, match="pooled differs by 1"):
        check(folder)


@pytest.mark.parametrize(
    ("format", "name", "words"),
    [
        ("timm", "volumes", "(backbone vit-pico) cannot be written so: it holds images with one token a patch"),
        ("timm", "unet", "timm's VisionTransformer is a vit-*"),
        ("monai", "volumes", "it holds monai:SwinUNETR, monai:UNet and monai:resnet*"),
        ("monai", "model", "a model's decoder is this platform's"),
        ("nnunet", "unet", "pretrain with --backbone nnunet:PlainConvUNet"),
        ("nnunet", "model", "nnU-Net trains its own decoder"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(
    format: str, name: str, words: str, written: Path, tmp_path: Path, capsys: Capture
) -> None:
    option = "--model" if name == "model" else "--encoder"
    out = tmp_path / "out"
    assert main(["export", option, str(written / name), "--format", format, "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: --format {format}: this ") and words in said and len(said) < 300
    assert not list(tmp_path.iterdir())


def test_what_is_not_installed_is_named(
    written: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find, out = importlib.util.find_spec, tmp_path / "out"
    words = ["export", "--out", str(out), "--encoder"]
    hidden = {"onnxscript"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else find(name, *rest))
    assert main([*words, str(written / "volumes"), "--format", "onnx"]) == 2
    assert "needs onnxscript: pip install 'ssl-platform[onnx]'" in capsys.readouterr().err
    hidden = {"dynamic_network_architectures"}
    assert main([*words, str(written / "plain"), "--format", "nnunet"]) == 0
    assert "NOT checked: pip install dynamic-network-architectures, then python" in capsys.readouterr().out
