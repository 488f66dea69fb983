"""`ssl-platform finetune`: modes, label draws, training from scratch, and runs that were stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from ssl_platform.cli.main import main
from ssl_platform.nn.block import Attention
from ssl_platform.transfer import training
from ssl_platform.transfer.model import load_model

Write = Callable[..., Path]
QUICK = ["finetune.batch_size=4", "finetune.width=2", "trainer.accelerator=cpu"]
PREDICTED = "predictions_finetune.csv"
SCRATCH = ["domain=toy", "backbone.dim=24", "backbone.depth=2", "backbone.heads=2", "backbone.drop_path=0.3"]


def finetune(encoder: str | Path, manifest: Path, run: Path, *more: str) -> int:
    return main(["finetune", "--encoder", str(encoder), "--manifest", str(manifest), "--run", str(run), *QUICK, *more])


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def steps_of(run: Path) -> list[tuple[str, ...]]:
    with (run / "metrics.csv").open() as file:
        return [(row["step"], row["loss"], row["lr"], row["validation"]) for row in csv.DictReader(file)]


def at_step(number: int, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Something happens as a step of a training begins."""
    step = training.Training.step

    def watched(self: training.Training, now: int, batch: Any) -> None:
        if now == number:
            what()
        step(self, now, batch)

    monkeypatch.setattr(training.Training, "step", watched)


def out_of_memory() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("encoder", "mode"), [("random", "full"), ("given", "lora"), ("given", "bitfit"), ("given", "frozen")]
)
def test_a_stopped_run_ends_as_if_it_had_not_been(
    encoder: str, mode: str, toy_encoder: Write, toy_masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = toy_encoder() if encoder == "given" else "random"
    keys = [f"finetune.mode={mode}", "finetune.steps=8", "finetune.eval_every=3", "finetune.lr=1e-2"]
    keys += SCRATCH if encoder == "random" else []
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert finetune(start, toy_masks, whole, *keys) == 0
    with monkeypatch.context() as patch:
        at_step(5, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        assert finetune(start, toy_masks, stopped, *keys) == 143
    assert result(stopped)["status"] == "stopped" and (stopped / "checkpoints" / "00000005").is_dir()
    assert len(steps_of(stopped)) == 5
    assert finetune(start, toy_masks, stopped, *keys, "--resume") == 0
    assert same_weights(whole, stopped)
    assert (whole / PREDICTED).read_bytes() == (stopped / PREDICTED).read_bytes()
    assert steps_of(whole) == steps_of(stopped) and len(steps_of(whole)) == 8
    assert result(whole)["metrics"] == result(stopped)["metrics"] and result(stopped)["status"] == "done"
    assert not (stopped / "checkpoints").exists()


def test_a_killed_run_goes_on_from_its_last_save(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    encoder, run = toy_encoder(), tmp_path / "killed"
    keys = ["finetune.steps=6", "finetune.eval_every=2", "finetune.lr=1e-2"]
    assert finetune(encoder, toy_data, tmp_path / "whole", *keys) == 0
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        at_step(4, out_of_memory, patch)
        assert finetune(encoder, toy_data, run, *keys) == 1
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["00000002"]
    capsys.readouterr()
    assert finetune(encoder, toy_data, run, *keys, "--resume") == 0
    assert "goes on after step 2" in capsys.readouterr().out
    assert same_weights(run, tmp_path / "whole")
    assert steps_of(run) == steps_of(tmp_path / "whole")

    before = (run / "model.safetensors").stat().st_mtime_ns
    assert finetune(encoder, toy_data, run, *keys, "--resume") == 0, "a finished run is left as it is"
    assert (run / "model.safetensors").stat().st_mtime_ns == before
    assert finetune(encoder, toy_data, run, *keys, "finetune.clip=2", "--resume") == 2
    assert "was trained with finetune.clip 1.0 and not 2.0: give the same command again" in capsys.readouterr().err
    assert finetune(encoder, toy_data, run, *keys) == 2
    assert main(["finetune", "--encoder", str(encoder), "--manifest", str(toy_data), "--resume"]) == 2
    assert "name the folder of the run that was stopped with --run DIR" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["full", "frozen", "lora", "bitfit"])
def test_a_mode_changes_what_it_says_and_the_weights_are_plain(
    mode: str, toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Any
) -> None:
    encoder, run = toy_encoder(), tmp_path / "run"
    keys = [
        f"finetune.mode={mode}",
        "finetune.steps=3",
        "finetune.lr=1e-2",
        "finetune.lora_rank=2",
        "finetune.head=random",
    ]
    assert finetune(encoder, toy_data, run, *keys) == 0
    said = capsys.readouterr().out
    assert f"finetune.mode={mode}: trains the head and " in said
    before = {
        name.removeprefix("encoder."): value for name, value in load_file(encoder / "encoder.safetensors").items()
    }
    after = {
        name.removeprefix("backbone."): value
        for name, value in load_file(run / "model.safetensors").items()
        if name.startswith("backbone.")
    }
    assert before.keys() == after.keys(), "the same names, whatever was trained"
    changed = {name for name in before if not before[name].equal(after[name])}
    model, record = load_model(run)
    assert record.mode == mode
    attention = [n for n, module in model.backbone.named_modules() if isinstance(module, Attention)]
    expected = {
        "full": {name for name, _ in model.backbone.named_parameters()},
        "frozen": set(),
        "lora": {f"{name}.{layer}.weight" for name in attention for layer in ("qkv", "proj")},
        "bitfit": {name for name, _ in model.backbone.named_parameters() if name.endswith(".bias")},
    }[mode]
    assert changed <= expected and len(changed) >= 0.8 * len(expected)
    decay = {"full": "0.75", "frozen": "0.75", "lora": "1", "bitfit": "1"}[mode]
    assert f"finetune.layer_decay={decay} " in said

    assert main(["predict", "--model", str(run), "--manifest", str(toy_data), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "predictions.csv").open() as a, (run / "predictions_finetune.csv").open() as b:
        predicted = {row["id"]: float(row["ball"]) for row in csv.DictReader(a)}
        tested = {row["id"]: float(row["ball"]) for row in csv.DictReader(b)}
    assert {name: predicted[name] for name in tested} == pytest.approx(tested, abs=1e-5)


def test_label_fractions_are_drawn_the_same_for_every_encoder_and_seed(
    toy_encoder: Write, toy_data: Path, tmp_path: Path
) -> None:
    """What a fraction costs must not depend on which of its items an encoder happened to get."""
    with toy_data.open() as file:
        rows = list(csv.DictReader(file))
    split = ["train"] * 6 + ["val", "test"]
    lines = [f"{row['path']},{row['label']},{part}" for row, part in zip(rows, split, strict=True)]
    toy_data.write_text("\n".join(["path,label,split", *lines]) + "\n")
    label = {row["path"]: row["label"] for row in rows}

    def trained_on(name: str, encoder: str | Path, *more: str) -> set[str]:
        run = tmp_path / name
        assert finetune(encoder, toy_data, run, "finetune.steps=1", *more) == 0
        with (run / "splits.csv").open() as file:
            return {row["id"] for row in csv.DictReader(file) if row["split"] == "train"}

    encoder = toy_encoder()
    first = trained_on("a", encoder, "labels.fraction=0.34")
    assert sorted(label[name] for name in first) == ["ball", "box"], "one of each class"
    assert trained_on("b", encoder, "labels.fraction=0.34", "seed=7") == first
    assert trained_on("c", "random", "labels.fraction=0.34", *SCRATCH) == first
    assert first < trained_on("d", encoder, "labels.fraction=0.67"), "a smaller fraction is part of a larger one"
    others = [trained_on(f"e{i}", encoder, "labels.fraction=0.34", f"labels.draw={i}") for i in (1, 2)]
    assert any(other != first for other in others)
    told = result(tmp_path / "e1")
    assert (told["labels_fraction"], told["labels_draw"]) == (0.34, 1)


def test_the_masks_that_are_drawn_hold_every_class(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> None:
    """One mask of six has the class 3: it is among two that are drawn, whichever draw it is."""
    with toy_masks.open() as file:
        names = [row["mask"] for row in csv.DictReader(file)]
    for number in (2, 9):  # in train and in test
        mask = np.load(toy_masks.parent / names[number])
        mask[0, :2, :2] = 3
        np.save(toy_masks.parent / names[number], mask)
    encoder = toy_encoder()
    for draw in range(3):
        run = tmp_path / f"draw{draw}"
        keys = ["finetune.steps=1", "labels.fraction=0.34", f"labels.draw={draw}", "finetune.decoder=linear"]
        assert finetune(encoder, toy_masks, run, *keys) == 0
        with (run / "splits.csv").open() as file:
            drawn = {row["id"] for row in csv.DictReader(file) if row["split"] == "train"}
        assert "item2.npy" in drawn and len(drawn) <= 3


def test_training_from_scratch_is_a_run_like_any_other(toy_masks: Path, tmp_path: Path, toy_encoder: Write) -> None:
    run = tmp_path / "scratch"
    assert finetune("random", toy_masks, run, "finetune.steps=2", *SCRATCH, "finetune.decoder=fpn") == 0
    found, (_, record) = result(run), load_model(run)
    assert found["encoder"] == "random" and found["status"] == "done" and found["split_id"]
    assert "the weights are random" in found["overlap"]
    assert (record.decoder, record.encoder.objective, record.mode) == ("fpn", "random", "full")
    assert found["details"]["finetune"]["decoder"] == "fpn"
    config = (run / "config.yaml").read_text()
    assert "layer_decay: 1.0" in config and "decoder: fpn" in config
    assert main(["predict", "--model", str(run), "--manifest", str(toy_masks), "--out", str(tmp_path / "out")]) == 0
