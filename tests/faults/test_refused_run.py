"""A run refused because too much of its data is unreadable leaves the list of it, and the folder for the next try."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform.errors import UsageError
from ssl_platform.train.run import RunFolder

Capture = pytest.CaptureFixture[str]
SMALL = [
    "trainer.max_steps=1",
    "data.batch_size=2",
    "data.window=[16,16,16]",
    "backbone.depth=1",
    "backbone.dim=32",
    "backbone.heads=2",
    "health.enabled=false",
    "scale=tiny",
]


def volumes(folder: Path) -> Path:
    folder.mkdir()
    for i in range(3):
        values = np.random.default_rng(i).integers(0, 1000, (24, 24, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"v{i}.nii.gz")
    whole = (folder / "v0.nii.gz").read_bytes()
    (folder / "broken.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def test_the_list_it_names_is_there_and_the_same_folder_takes_the_next_run(tmp_path: Path, capsys: Capture) -> None:
    data, run = volumes(tmp_path / "data"), tmp_path / "runs" / "first"
    words = ["pretrain", "--domain", "medical3d", "--data", str(data), "--run", str(run), *SMALL]
    assert main([*words, "data.max_bad_fraction=0"]) == 2
    error = capsys.readouterr().err
    assert f"all are listed in {run / 'quarantine.csv'}" in error
    assert {path.name for path in run.iterdir()} == {"quarantine.csv", "events.log"}
    with (run / "quarantine.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["path"].endswith("broken.nii.gz") and row["reason"].startswith("truncated")
    assert "refused: 1 of 4 items are unreadable" in (run / "events.log").read_text(encoding="utf-8")

    (data / "broken.nii.gz").unlink()
    assert main(words) == 0
    assert "broken.nii.gz" not in (run / "quarantine.csv").read_text(encoding="utf-8")
    assert "refused" not in (run / "events.log").read_text(encoding="utf-8")


def test_a_refusal_that_lists_nothing_leaves_nothing(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    run = tmp_path / "runs" / "first"
    assert main(["pretrain", "--domain", "medical3d", "--data", str(tmp_path / "empty"), "--run", str(run)]) == 2
    assert not run.exists()
    run.mkdir()
    assert main(["pretrain", "--domain", "medical3d", "--data", str(tmp_path / "empty"), "--run", str(run)]) == 2
    assert run.is_dir() and not list(run.iterdir()), "a folder the user made stays"


def test_a_folder_that_holds_anything_else_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "quarantine.csv").write_text("path,reason\n")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        RunFolder(tmp_path)
    assert (tmp_path / "quarantine.csv").exists()
