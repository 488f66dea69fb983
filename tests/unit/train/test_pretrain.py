"""Whole runs over the toy domain: what they write, refuse and say."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform.encoder import load_encoder
from ssl_platform.errors import ConfigError, DataError, EncoderError, RunFailed, RunStopped, UsageError
from ssl_platform.train import checkpoint
from ssl_platform.train.metrics import read_rows

Run = Callable[..., Any]
FILES = {
    "config.yaml",
    "command.txt",
    "environment.json",
    "catalog.parquet",
    "splits.csv",
    "quarantine.csv",
    "metrics.csv",
    "events.log",
    "result.json",
    "checkpoints",
    "encoder.safetensors",
    "encoder.json",
    "CITATION.bib",
    "methods.txt",
}


def test_a_run_leaves_everything(toy_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = toy_run("mae", health__enabled=True, health__every=2, health__items=16)
    run = tmp_path / "run"
    assert {p.name for p in run.iterdir()} >= FILES and not (run / ".writer.json").exists()
    assert result == json.loads((run / "result.json").read_text())
    assert result["status"] == "done" and result["steps"] == 4 and result["health"]["verdict"] == "undetermined"
    assert result["metrics"]["knn/balanced_accuracy"]["value"] >= 0
    assert "random" in result["baselines"]["knn/balanced_accuracy"]
    rows = read_rows(run / "metrics.csv")
    assert [r["step"] for r in rows if r["loss"]] == ["1", "2", "3", "4"]
    assert [r["step"] for r in rows if r["health/effective_rank"]] == ["2", "4"]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"run {run}"
    assert any("4 steps = 2.0 passes over the data, global batch 4" in line for line in said)
    assert any(line.startswith("one step took") for line in said)
    assert "arXiv:2111.06377" in (run / "methods.txt").read_text()


def test_the_written_configuration_resolves_to_itself(toy_run: Run, tmp_path: Path) -> None:
    from ssl_platform import api

    toy_run("dino")
    again = api.pretrain_config(config=tmp_path / "run" / "config.yaml")
    from ssl_platform.config.provenance import dump

    assert dump(again) == (tmp_path / "run" / "config.yaml").read_text()


def test_the_encoder_loads_from_run_step_and_file(toy_run: Run, tmp_path: Path) -> None:
    toy_run("i-jepa", trainer__keep=2)
    run = tmp_path / "run"
    found = [load_encoder(where) for where in (run, f"{run}@4", run / "encoder.safetensors", f"{run}@3")]
    assert [enc.record.step for enc in found] == [4, 4, 4, 3]
    assert found[0].record.weights == "teacher" and found[0].record.contract.spacing == (2.0, 2.0, 2.0)
    array = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    view = found[0].preprocess(array, spacing=(2.0, 2.0, 2.0))
    assert view.x.shape == (1, 1, 16, 16, 16)
    features = found[0](view)
    assert features.pooled.shape == (1, 32) and torch.equal(features.pooled, found[1](view).pooled)
    assert not torch.equal(features.pooled, found[3](view).pooled)
    state = checkpoint.read(checkpoint.folder_of(run / "checkpoints", 4))["objective"]
    teacher = {k.removeprefix("teacher.ema.module.backbone."): v for k, v in state.items() if "module.backbone" in k}
    assert all(torch.equal(v, teacher[k]) for k, v in found[0].model.state_dict().items())
    assert found[0].trained_on(["nothing"]) == 0
    with pytest.raises(EncoderError, match="kept are: 3, 4"):
        load_encoder(f"{run}@1")
    with pytest.raises(EncoderError, match="trained on domain 'toy'"):
        load_encoder(run, domain="audio")
    with pytest.raises(EncoderError, match="spacing="):
        found[0].preprocess(array)


def test_a_truncated_encoder_is_one_line(toy_run: Run, tmp_path: Path) -> None:
    toy_run("mae", trainer__max_steps=1)
    file = tmp_path / "run" / "encoder.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EncoderError, match="truncated or not an encoder file"):
        load_encoder(tmp_path / "run")


def test_init_starts_from_the_weights_and_says_what_matched(
    toy_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run("mae", "first")
    first = load_encoder(tmp_path / "first").model.state_dict()
    capsys.readouterr()
    toy_run("mae", "second", init=str(tmp_path / "first"), optim__lr=1e-12, trainer__max_steps=1)
    second = load_encoder(tmp_path / "second").model.state_dict()
    assert all(torch.allclose(first[k], second[k], atol=1e-6) for k in first)
    assert f"{len(first)} tensors matched, 0 resized, 0 missing, 0 unused" in capsys.readouterr().out


def test_resume_refuses_what_would_not_be_the_same_run(toy_run: Run, tmp_path: Path) -> None:
    import shutil

    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        np.save(data / f"{i}.npy", rng.normal(size=(20, 20, 20)).astype(np.float32))
    toy_run("mae", data__paths=[str(data)])
    result = tmp_path / "run" / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "status": "stopped"}))
    shutil.rmtree(checkpoint.folder_of(tmp_path / "run" / "checkpoints", 4))
    with pytest.raises(ConfigError, match=r"cannot change optim.lr from 0.001 to 0.01"):
        toy_run("mae", resume=True, optim__lr=1e-2)
    (data / "0.npy").unlink()
    np.save(data / "1.npy", rng.normal(size=(20, 20, 20)).astype(np.float32))
    with pytest.raises(DataError, match="1 source files are missing, 1 changed, 0 are new"):
        toy_run("mae", resume=True)
    with pytest.raises(UsageError, match="add --resume"):
        toy_run("mae")


def test_resume_of_an_empty_folder_starts_fresh(toy_run: Run, tmp_path: Path) -> None:
    from ssl_platform import api

    (tmp_path / "empty").mkdir()
    small = {
        "data.batch_size": 4,
        "trainer.max_steps": 1,
        "scale": "tiny",
        "backbone.depth": 1,
        "health.enabled": False,
    }
    result = api.pretrain(domain="toy", run=tmp_path / "empty", resume=True, overrides=small)
    assert result["status"] == "done" and result["steps"] == 1


def test_nan_stops_the_run_and_names_step_module_and_items(
    toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_platform.nn.decoder import MaskedDecoder

    forward = MaskedDecoder.forward
    monkeypatch.setattr(MaskedDecoder, "forward", lambda self, *a, **k: forward(self, *a, **k) * float("nan"))
    with pytest.raises(RunFailed, match=r"step 4: not finite 4 steps in a row; .*objective.decoder.*item\d.npy"):
        toy_run("mae", trainer__max_steps=10)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed" and "not finite" in result["error"]


def test_batches_that_cannot_work(toy_run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.batch_size=1: simclr needs at least 2"):
        toy_run("simclr", data__batch_size=1)
    with pytest.raises(ConfigError, match=r"multiple of processes x data.accumulate = 1 x 3"):
        toy_run("mae", data__accumulate=3)
    assert not (tmp_path / "run").exists(), "the same command can be given again"


def test_accumulation_says_what_becomes_of_negatives(toy_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    toy_run("simclr", data__accumulate=2, data__batch_size=4)
    assert "no negative is lost; the encoder works in 2 parts" in capsys.readouterr().out


def test_health_stop_ends_a_collapsed_run(toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_platform.train.health.FIRST_STEPS", 3)
    monkeypatch.setattr("ssl_platform.train.loop.judge", _collapsed)
    with pytest.raises(RunStopped, match=r"health.stop: collapsed: made up") as stopped:
        toy_run("mae", health__enabled=True, health__stop=True, health__every=2, trainer__max_steps=9)
    assert stopped.value.exit_code == 1
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "stopped" and result["steps"] == 2 and result["health"]["verdict"] == "collapsed"


def test_without_health_stop_a_collapsed_run_ends_as_any_other(
    toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_platform.train.loop.judge", _collapsed)
    result = toy_run("mae", health__enabled=True, health__every=2, trainer__max_steps=3)
    assert result["status"] == "done" and result["steps"] == 3 and result["health"]["verdict"] == "collapsed"


def _collapsed(*args: Any, **kwargs: Any) -> Any:
    from ssl_platform.train.health import Verdict

    return Verdict("collapsed", "made up")


def test_sigint_saves_and_gives_130(toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_platform.train.progress import Lines

    def interrupt(self: Any, step: int, loss: float, pace: Any) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Lines, "step", interrupt)
    before = signal.getsignal(signal.SIGINT)  # ignored in a background job
    with pytest.raises(RunStopped, match="--resume") as stopped:
        toy_run("mae", trainer__checkpoint_every=100)
    assert stopped.value.exit_code == 130
    assert checkpoint.steps_of(tmp_path / "run" / "checkpoints") == [2]
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_found_wrong_after_steps_leaves_what_was_saved(
    toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_platform.train.module import PretrainModule

    step = PretrainModule.training_step

    def fail_at_three(self: Any, batch: Any, i: int) -> Any:
        if self.steps_done == 2:
            raise DataError("item3.npy: a reader of another domain wrote it")
        return step(self, batch, i)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainModule, "training_step", fail_at_three)
        with pytest.raises(RunFailed, match=r"item3\.npy: a reader") as failed:
            toy_run("mae")
    assert failed.value.exit_code == 1 and checkpoint.steps_of(tmp_path / "run" / "checkpoints") == [1, 2]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed" and result["steps"] == 2 and "item3.npy" in result["error"]
    assert toy_run("mae", resume=True)["steps"] == 4


CPU_REFUSES = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes."


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_REFUSES)])
def test_out_of_memory_names_batch_need_have_and_two_keys(
    error: Exception, toy_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_platform.train.module import PretrainModule

    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(PretrainModule, "training_step", refuse)
    sizes = r"needs more than [\d.]+ .B, the device has [\d.]+ .B"
    with pytest.raises(RunFailed, match=rf"out of memory with data.batch_size=4: {sizes}") as failed:
        toy_run("mae")
    assert str(failed.value).endswith("raise data.accumulate (now 1) or lower data.batch_size")


def test_dry_run_does_a_step_and_leaves_nothing(
    toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ssl_platform import api

    monkeypatch.chdir(tmp_path)
    before = {p.name for p in tmp_path.iterdir()}
    api.pretrain(domain="toy", dry_run=True, overrides={"data.batch_size": 4, "backbone.depth": 1, "scale": "tiny"})
    assert {p.name for p in tmp_path.iterdir()} == before
    said = capsys.readouterr().out
    for part in (
        r"items 8, windows 8 of 16x16x16, [\d,]+ steps = [\d.]+ passes over the data, global batch 4\n",
        r"parameters: [\d,]+ in the encoder, [\d,]+ in all; 32 precision on 1 x cpu\n",
        r"disk: cache up to \d+ kB in .+ \(copies of your data\), checkpoints .+ each, 3 kept; .+ free\n",
        r"one step took [\d.]+ s, peak memory .+B, [\d,]+ more steps take about .+\n",
    ):
        assert re.search(part, said), part


def test_labels_reach_no_objective_that_does_not_ask(toy_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_platform.train.module import PretrainModule

    seen = []
    step = PretrainModule.training_step
    monkeypatch.setattr(
        PretrainModule, "training_step", lambda self, batch, i: (seen.append(batch.label), step(self, batch, i))[1]
    )
    toy_run("mae", trainer__max_steps=2)
    assert seen == [None, None]


ASKS = """
from ssl_platform.objectives.contrastive.simclr import SimCLR
from ssl_platform.plan import Plan
from ssl_platform.plugins import ObjectiveDeclaration, hookimpl

SSL_PLATFORM_API = 1
PLAN = Plan.augmented(2, labels="optional")


@hookimpl
def ssl_platform_objectives():
    return [ObjectiveDeclaration("asks", "plugin_acme_asks:Asks", family="contrastive", needs=PLAN)]


class Asks(SimCLR):
    name, needs = "asks", PLAN
"""


def test_one_that_asks_gets_labels_of_the_training_split_and_test_items_are_left_out(
    toy_run: Run, tmp_path: Path, install: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from ssl_platform.testing.toy_domain import ToyDomain
    from ssl_platform.train.module import PretrainModule

    manifest = ToyDomain().sample_data(tmp_path / "data")
    header, *lines = manifest.read_text().splitlines()
    parts = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    rows = [f"{line},{part}" for line, part in zip(lines, parts, strict=True)]
    manifest.write_text("\n".join([f"{header},split", *rows]) + "\n")
    install("acme-asks", ASKS)
    seen: dict[int, int] = {}
    step = PretrainModule.training_step

    def watched(self: Any, batch: Any, i: int) -> Any:
        seen.update(zip(batch.index.tolist(), batch.label.tolist(), strict=True))
        return step(self, batch, i)

    monkeypatch.setattr(PretrainModule, "training_step", watched)
    result = toy_run("asks", data__manifest=str(manifest))
    assert seen == {0: 1, 1: 0, 2: 1, 3: 0, 4: -1, 5: -1}, "box and ball of the training split, no others"
    assert "pretraining: 2 test items left out (data.include_test" in capsys.readouterr().out
    record = json.loads((tmp_path / "run" / "encoder.json").read_text())
    assert len(record["training"]["items"]) == 6
    assert result["split_id"] and (tmp_path / "run" / "splits.csv").read_text().count(",test\n") == 2


def test_sigusr1_saves_requeues_and_ends_with_0(
    toy_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ssl_platform.train.progress import Lines

    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(scontrol.parent), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "41")

    def ask(self: Any, step: int, loss: float, pace: Any) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGUSR1)

    with monkeypatch.context() as patch:
        patch.setattr(Lines, "step", ask)
        with pytest.raises(RunStopped) as stopped:
            toy_run("mae", trainer__checkpoint_every=100, trainer__requeue=True)
    assert stopped.value.exit_code == 0 and checkpoint.steps_of(tmp_path / "run" / "checkpoints") == [2]
    assert (scontrol.parent / "asked").read_text() == "requeue 41\n"
    assert "SIGUSR1: saved and requeued job 41" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "stopped"
    assert toy_run("mae", resume=True)["steps"] == 4, "what the requeued job runs"
