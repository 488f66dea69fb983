"""Several processes: torchrun starts the same command; one folder is written, with the weights of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ssl_platform.testing.distribution import write_distribution
from ssl_platform.train.metrics import read_rows

TOY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""
TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29555")
SETTINGS = (
    *("trainer.max_steps=6", "trainer.checkpoint_every=3", "data.batch_size=4", "backbone.depth=1", "backbone.dim=32"),
    *("backbone.heads=2", "health.every=3", "health.items=16", "scale=tiny", "trainer.precision=64"),
    *("optim.name=sgd", "optim.lr=0.05"),  # linear in the gradient: Adam turns the rounding of zeros into steps
)


def run(folder: Path, *words: str) -> str:
    """Run the interpreter; what it printed, errors included."""
    places = os.pathsep.join([str(folder / "plugin"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_torchrun_starts_the_same_command(tmp_path: Path) -> None:
    words = ("-m", "ssl_platform", "pretrain", "--domain", "toy", "--objective", "simclr", *SETTINGS)
    write_distribution(tmp_path / "plugin", "ssl-platform-toy", "plugin_toy", TOY)
    said = run(tmp_path, *TORCHRUN, *words)
    (folder,) = (tmp_path / "runs").iterdir()
    lines = said.splitlines()
    assert lines[0] == f"run runs/{folder.name}" and lines[-1] == f"report runs/{folder.name}/report.html"
    assert len([line for line in lines if line.startswith("items 8,")]) == 1, "the first process speaks"
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["steps"]) == ("done", 6)
    assert json.loads((folder / "environment.json").read_text())["processes"] == 2
    assert [row["step"] for row in read_rows(folder / "metrics.csv") if row["loss"]] == [*"123456"]

    run(tmp_path, *words, "--run", "alone")
    run(tmp_path, *words, "--run", "devices", "trainer.devices=2")
    theirs = load_file(tmp_path / "alone" / "encoder.safetensors")
    for place in (folder, tmp_path / "devices"):
        torch.testing.assert_close(load_file(place / "encoder.safetensors"), theirs, rtol=1e-8, atol=1e-10)

    (folder / "result.json").write_text(json.dumps({**result, "status": "stopped"}))
    (folder / "checkpoints" / "00000006" / "state.pt").unlink()
    said = run(tmp_path, "-m", "ssl_platform", "pretrain", "--run", str(folder), "--resume")
    assert "resumed, but not bit-equal to a run without a stop: processes 2 then, 1 now" in said
    torch.testing.assert_close(load_file(folder / "encoder.safetensors"), theirs, rtol=1e-8, atol=1e-10)
