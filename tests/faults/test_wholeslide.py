"""The nastiest slides: each costs only itself and says in one line what, where and the fix."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ssl_platform.cli.main import main
from ssl_platform_wholeslide.testing import tissue_picture, write_svs
from ssl_platform_wholeslide.writing import write_tiff

PICTURE = tissue_picture(384, 384)


def no_scale(path: Path) -> Path:
    return write_svs(path.with_suffix(".svs"), PICTURE, None, power=40)


def print_resolution(path: Path) -> Path:
    return write_tiff(path.with_suffix(".tif"), PICTURE, 25_400 / 72)


def all_zero(path: Path) -> Path:
    return write_tiff(path.with_suffix(".tif"), np.zeros_like(PICTURE), 0.5)


def only_glass(path: Path) -> Path:
    return write_tiff(path.with_suffix(".tif"), np.full_like(PICTURE, 242), 0.5)


def cut_off(path: Path) -> Path:
    """An interrupted copy: the pages are listed at the end of the file and so are lost."""
    path = write_tiff(path.with_suffix(".tif"), PICTURE, 0.5)
    path.write_bytes(path.read_bytes()[:-6000])
    return path


def half_copied(path: Path) -> Path:
    """The pages stand first, as some scanners write them, and most of the tiles are lost."""
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, PICTURE, photometric="rgb", tile=(128, 128), resolution=(20000, 20000), resolutionunit=3)
    path.write_bytes(path.read_bytes()[:-200_000])
    return path


def no_slide(path: Path) -> Path:
    path.with_suffix(".svs").write_text("<html>404 not found</html>")
    return path.with_suffix(".svs")


def sixteen_bits(path: Path) -> Path:
    tifffile.imwrite(path.with_suffix(".tif"), PICTURE.astype(np.uint16) * 257, tile=(256, 256), photometric="rgb")
    return path.with_suffix(".tif")


def too_coarse(path: Path) -> Path:
    return write_tiff(path.with_suffix(".tif"), PICTURE, 4.0)


def empty(path: Path) -> Path:
    path.with_suffix(".ndpi").touch()
    return path.with_suffix(".ndpi")


BAD = {
    no_scale: "its microns a pixel are not stored (objective 40x, often 0.25): set data.missing_mpp=NUMBER",
    print_resolution: "the stored 352.8 um a pixel is no microscope's (a print resolution?)",
    all_zero: "every pixel of its overview is zero",
    only_glass: "no tissue found on it: lower data.tissue_threshold",
    cut_off: "truncated",
    half_copied: "truncated: its tiles reach to byte",
    no_slide: "no TIFF file although its name says so (it starts with b'<htm')",
    sixteen_bits: "its pixels are uint16 of 16 bits: brightfield slides are 8-bit RGB, convert it",
    too_coarse: "4 um a pixel, coarser than data.mpp=0.5: set data.mpp=4",
    empty: "it is empty",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten good slides and one of each bad kind."""
    made = tmp_path_factory.mktemp("slides")
    for i in range(10):
        write_tiff(made / f"good{i}.tif", tissue_picture(384, 384, i), 0.5)
    for make in BAD:
        make(made / make.__name__)
    return made


def test_scan_lists_each_with_its_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "manifest.csv"
    assert main(["scan", str(folder), "--domain", "wholeslide", "--out", str(out), "data.max_bad_fraction=0.9"]) == 0
    said = capsys.readouterr()
    assert "10 items" in said.out and f"quarantined: {len(BAD)}" in said.out and "Traceback" not in said.err
    listed = {
        Path(row["path"]).stem: row["reason"] for row in csv.DictReader((tmp_path / "manifest_quarantine.csv").open())
    }
    assert set(listed) == {make.__name__ for make in BAD}
    for make, text in BAD.items():
        reason = listed[make.__name__]
        assert text in reason and "\n" not in reason and 10 < len(reason) < 300, reason


def test_a_run_stops_over_too_many_and_names_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["pretrain", "--domain", "wholeslide", "--data", str(folder), "--run", str(tmp_path / "run")]
    assert main(run) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{len(BAD)} of {len(BAD) + 10} items are unreadable, more than data.max_bad_fraction=0.15" in error


def test_a_run_goes_on_over_the_good_ones(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["pretrain", "--domain", "wholeslide", "--data", str(folder), "--run", str(tmp_path / "run")]
    small = [
        "--objective",
        "mae",
        "data.max_bad_fraction=0.6",
        "trainer.max_steps=2",
        "data.batch_size=4",
        "data.window=[32,32]",
    ]
    assert main([*run, *small]) == 0
    assert "10" in capsys.readouterr().out
    assert (tmp_path / "run" / "encoder.safetensors").exists()
