"""The five nastiest scenes, through the command line: one line each that says what, where and the fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform_multispectral.testing import write_raster, write_safe

Capture = pytest.CaptureFixture[str]
NAMES = ("B02", "B03", "B04", "B08")
TAGS = {"SENSOR": "Sentinel-2 MSI L2A", "PROCESSING_BASELINE": "05.10"}


def values(count: int = 4, edge: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1200, 4000, (count, edge, edge)).astype(np.uint16)


def scene(path: Path, seed: int = 0, **tags: str) -> Path:
    return write_raster(path, values(seed=seed), names=NAMES, tags={**TAGS, **tags})


def good(folder: Path, count: int = 4) -> Path:
    for n in range(count):
        scene(folder / f"good{n}.tif", seed=n)
    return folder


def half_written(folder: Path) -> Path:
    path = scene(folder / "half.tif")
    path.write_bytes(path.read_bytes()[:-4000])
    return path


def unknown_baseline(folder: Path) -> Path:
    return write_raster(
        folder / "new.tif", values(), names=NAMES, tags={"SENSOR": "Sentinel-2", "DATETIME": "2023-05-01"}
    )


def nameless_bands(folder: Path) -> Path:
    return write_raster(folder / "nameless.tif", values())


def beyond_the_swath(folder: Path) -> Path:
    return write_raster(folder / "empty.tif", np.zeros((4, 32, 32), np.uint16), names=NAMES, tags=TAGS, nodata=0)


def torn_product(folder: Path) -> Path:
    safe = write_safe(folder, {"B02": values()[0], "B03": values()[1]})
    band = next(safe.rglob("*_B03_10m.jp2"))
    write_raster(band, values()[1][None], corner=(600_000.0, 5_000_000.0))
    return safe


BAD: dict[Callable[[Path], Path], str] = {
    half_written: "half.tif is no raster file, or a damaged one",
    unknown_baseline: "data.baseline=none",
    nameless_bands: "data.bands=[B02,B03,..]",
    beyond_the_swath: "every cell is without data",
    torn_product: "cover unlike ground",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_one_bad_scene_is_named_and_the_good_ones_are_used(
    tmp_path: Path, capsys: Capture, make: Callable[[Path], Path]
) -> None:
    folder = good(tmp_path / "in")
    bad = make(folder)
    words = ["scan", str(folder), "--domain", "multispectral", f"cache.dir={tmp_path / 'cache'}", "data.check=header"]
    assert main([*words, "data.max_bad_fraction=0.5"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if str(bad) in line and "quarantined:" not in line]
    assert BAD[make] in line and len(line) < 500
    assert "4 items: 0 labelled" in out


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_nothing_but_a_bad_scene_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: Capture, make: Callable[[Path], Path]
) -> None:
    bad = make(tmp_path / "in")
    words = ["pretrain", "--domain", "multispectral", "--data", str(tmp_path / "in"), "--run", str(tmp_path / "run")]
    assert main([*words, f"cache.dir={tmp_path / 'cache'}", "trainer.max_steps=2"]) == 2
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error and "\n" not in error
    assert BAD[make] in error and bad.name in error


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.bands=B02,B77", "unknown band 'B77'"),
        ("data.sensor=sentinel-2", "did you mean 'sentinel2'"),
        ("data.gsd=-10", "data.gsd"),
        ("data.baselin=05.10", "data.baseline"),
    ],
)
def test_a_wrong_key_is_one_line(tmp_path: Path, capsys: Capture, override: str, words: str) -> None:
    folder = good(tmp_path / "in", 1)
    assert main(["scan", str(folder), "--domain", "multispectral", f"cache.dir={tmp_path / 'cache'}", override]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error and "Traceback" not in error


def test_label_rasters_are_set_aside_and_said(tmp_path: Path, capsys: Capture) -> None:
    folder = good(tmp_path / "in")
    write_raster(folder / "cover.tif", np.random.default_rng(0).integers(0, 7, (1, 32, 32)).astype(np.uint8))
    assert main(["scan", str(folder), "--domain", "multispectral", f"cache.dir={tmp_path / 'cache'}"]) == 0
    out = capsys.readouterr().out
    assert "masks set aside, not used as images: 1 file looking like label rasters" in out and "cover.tif" in out
    assert "4 items" in out and "quarantined: none" in out


@pytest.mark.slow
def test_a_scene_that_vanishes_or_breaks_during_a_run_costs_only_itself(tmp_path: Path, capsys: Capture) -> None:
    folder = good(tmp_path / "in", 40)
    compressed = write_raster(
        folder / "large.tif",
        values(4, 1100),
        names=NAMES,
        tags=TAGS,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
    )
    raw = bytearray(compressed.read_bytes())
    raw[20_000:] = bytes(len(raw) - 20_000)
    compressed.write_bytes(raw)
    words = ["pretrain", "--domain", "multispectral", "--data", str(folder), "--run", str(tmp_path / "run")]
    more = ["trainer.max_steps=12", "data.batch_size=8", "data.window=[32,32]", "scale=tiny", "health.enabled=false"]
    assert main([*words, *more, f"cache.dir={tmp_path / 'cache'}", "data.check=header"]) == 0
