"""The five nastiest point-cloud files through the command line: one line each, and the others are used."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform_pointcloud import writers

RNG = np.random.default_rng(0)
Capture = pytest.CaptureFixture[str]
SMALL = [
    "trainer.max_steps=1",
    "data.batch_size=2",
    "data.window=[64]",
    "backbone.patch=8",
    "backbone.depth=1",
    "backbone.dim=48",
    "backbone.heads=2",
    "health.enabled=false",
    "scale=tiny",
    "data.max_bad_fraction=0.6",
]


def good(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    for i in range(count):
        writers.write_ply(folder / f"good{i}.ply", np.random.default_rng(i).normal(size=(200, 3)))
    return folder


def cut_in_the_middle_of_compressed_data(folder: Path) -> Path:
    path = writers.write_pcd(folder / "bad.pcd", RNG.normal(size=(300, 3)), encoding="binary_compressed")
    path.write_bytes(path.read_bytes()[:-900])
    return path


def promises_more_points_than_it_has(folder: Path) -> Path:
    path = writers.write_las(folder / "bad.laz", RNG.normal(size=(5000, 3)))
    path.write_bytes(path.read_bytes()[:-4000])
    return path


def nothing_but_nan(folder: Path) -> Path:
    xyz = RNG.normal(size=(300, 3))
    xyz[7:] = np.nan
    return writers.write_pcd(folder / "bad.pcd", xyz, height=10)


def columns_that_say_nothing(folder: Path) -> Path:
    return writers.write_text(folder / "bad.xyz", RNG.normal(size=(300, 8)) * 9, header=False)


def a_mesh_whose_faces_point_nowhere(folder: Path) -> Path:
    faces = np.array([[0, 1, 2], [0, 1, 40_000]])
    return writers.write_ply(folder / "bad.ply", RNG.normal(size=(40, 3)), faces=faces)


NASTY: dict[Callable[[Path], Path], str] = {
    cut_in_the_middle_of_compressed_data: "truncated among its compressed data",
    promises_more_points_than_it_has: "truncated",
    nothing_but_nan: "7 points (293 more are NaN): fewer than data.min_points=32",
    columns_that_say_nothing: "8 columns without names that cannot be told apart: name them",
    a_mesh_whose_faces_point_nowhere: "its faces name vertex 40000 of 40",
}


@pytest.mark.parametrize("make", NASTY, ids=lambda make: make.__name__)
def test_each_costs_only_itself(tmp_path: Path, capsys: Capture, make: Callable[[Path], Path]) -> None:
    data = good(tmp_path / "data")
    bad = make(data)
    run = tmp_path / "run"
    assert main(["pretrain", "--domain", "pointcloud", "--data", str(data), "--run", str(run), *SMALL]) == 0
    with (run / "quarantine.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["path"].endswith(bad.name) and NASTY[make] in row["reason"]
    assert "\n" not in row["reason"] and "Traceback" not in capsys.readouterr().err
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "done" and result["quarantined"] == 1


def test_nothing_but_bad_files_is_refused_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "data").mkdir()
    bad = nothing_but_nan(tmp_path / "data")
    run = tmp_path / "run"
    assert main(["pretrain", "--domain", "pointcloud", "--data", str(tmp_path / "data"), "--run", str(run)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and bad.name in error and "data.min_points" in error


def test_wrong_settings_are_refused_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    data = good(tmp_path / "data", 1)
    words = ["pretrain", "--domain", "pointcloud", "--data", str(data), "--run", str(tmp_path / "run")]
    for setting, why in (("data.unit=yard", "data.unit"), ("data.up=w", "data.up"), ("data.thim=2", "data.thin")):
        assert main([*words, setting]) == 2
        assert why in capsys.readouterr().err
    assert main([*words, "data.window=[64]", "backbone.groups=128"]) == 2
    error = capsys.readouterr().err
    assert "64 points cannot make 128 groups of 32" in error and "Traceback" not in error
