"""`ssl-platform scan`: what would be used, set aside, quarantined."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main

Capture = pytest.CaptureFixture[str]

READS_NPY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl
SSL_PLATFORM_API = 1

@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration("arrays", "{module}:Arrays", axes="C T")]

def __getattr__(name):
    if name != "Arrays":
        raise AttributeError(name)
    from ssl_platform.domain import Domain
    from ssl_platform.types import Layout

    class Arrays(Domain):
        name, layout, suffixes = "arrays", Layout(axes="C T"), (".npy",)

    return Arrays
"""


@pytest.fixture
def volumes(tmp_path: Path, install: Callable[..., str]) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(12):
        kind = "ab"[number % 2]
        volume = np.random.default_rng(number).normal(size=(8, 9, 10)).astype(np.float32)
        np.save(folder / f"{kind}_{number:02d}.npy", volume)
    return folder


def test_counts_and_an_editable_manifest(volumes: Path, capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "manifest.csv"
    labels = "name:^(?P<label>[ab])_"
    words = ["scan", str(volumes), "--disable-plugin", "pointcloud", "data.spacing=[1,1,1]"]
    assert main([*words, "--labels", labels, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "12 items" in text and "quarantined: none" in text
    assert "size in cells: D 8, H 9, W 10" in text
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["label"] for row in rows} == {"a", "b"}


def test_the_manifest_it_wrote_is_scanned_to_the_same(volumes: Path, capsys: Capture, tmp_path: Path) -> None:
    out, words = tmp_path / "manifest.csv", ["--disable-plugin", "pointcloud", "data.spacing=[1,1,1]"]
    assert main(["scan", str(volumes), *words, "--labels", "name:^(?P<label>[ab])_", "--out", str(out)]) == 0
    first = capsys.readouterr().out
    assert main(["scan", "--manifest", str(out), *words]) == 0
    again = capsys.readouterr().out
    assert "domain: medical3d, told from the files" in again and "manifest: 12 items in 12 rows" in again
    for line in ("12 items: 12 labelled", "a              6", "size in cells: D 8, H 9, W 10", "quarantined: none"):
        assert line in first and line in again, line


def test_the_domain_is_told_from_files_only_one_reads(tmp_path: Path, capsys: Capture) -> None:
    from ssl_platform_medical3d.readers import nifti

    nifti.write(tmp_path / "a.nii.gz", np.arange(6**3, dtype=np.int16).reshape(6, 6, 6), np.eye(4))
    assert main(["scan", str(tmp_path)]) == 0
    assert "domain: medical3d, told from the files (--domain names another)" in capsys.readouterr().out


def test_bad_files_are_listed_by_name_and_in_a_table(volumes: Path, capsys: Capture, tmp_path: Path) -> None:
    (volumes / "broken.npy").write_bytes(b"no array")
    (volumes / "empty.npy").touch()
    out = tmp_path / "manifest.csv"
    words = ["data.spacing=[1,1,1]", "data.max_bad_fraction=0.5", "--domain", "medical3d"]
    assert main(["scan", str(volumes), *words, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "quarantined: 2" in text and "broken.npy: " in text and "empty.npy: it is empty" in text
    listed = (tmp_path / "manifest_quarantine.csv").read_text()
    assert "broken.npy" in listed and "empty.npy" in listed


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["nowhere"], "nowhere does not exist"),
        (
            ["{scans}", "--domain", "medical3d", "data.spacin=1"],
            "data.spacin: unknown key (did you mean 'data.spacing'?)",
        ),
        (["{scans}", "--domain", "medicl3d"], "unknown domain 'medicl3d'"),
        (["{empty}"], "no installed domain reads anything in"),
    ],
)
def test_errors_are_one_line(volumes: Path, tmp_path: Path, capsys: Capture, words: list[str], error: str) -> None:
    (tmp_path / "empty").mkdir()
    places = {"scans": volumes, "empty": tmp_path / "empty"}
    assert main(["scan", *(word.format(**places) for word in words)]) == 2
    text = capsys.readouterr().err
    assert error in text and text.count("\n") == 1


def test_several_domains_that_read_the_files_ask_for_one(
    volumes: Path, capsys: Capture, install: Callable[..., str]
) -> None:
    install("acme-arrays", READS_NPY.format(module="plugin_acme_arrays"))
    assert main(["scan", str(volumes)]) == 2
    error = capsys.readouterr().err
    # Point sets are arrays of rows: the headers tell that these are none.
    assert "several domains read files of these: arrays (12 files), medical3d (12 files); say --domain" in error


def test_headers_tell_a_domain_where_names_do_not(tmp_path: Path, capsys: Capture) -> None:
    from ssl_platform_multispectral.testing import write_raster

    for number in range(3):
        values = np.random.default_rng(number).integers(1, 4000, (2, 16, 16)).astype(np.uint16)
        write_raster(tmp_path / f"a{number}.tif", values, names=("B02", "B03"), tags={"PROCESSING_BASELINE": "05.10"})
    assert main(["scan", str(tmp_path), "data.sensor=sentinel2"]) == 0
    assert "domain: multispectral, told from the files" in capsys.readouterr().out
    assert main(["scan", str(tmp_path / "a0.tif"), "data.sensor=sentinel2"]) == 0


def test_items_of_one_file_are_named_after_its_mark(tmp_path: Path, capsys: Capture) -> None:
    """What `scan` writes of a file of several items, it reads; a row that is taken out is an item less."""
    np.save(tmp_path / "set.npy", np.random.default_rng(0).normal(size=(6, 200, 3)))
    labels, out = tmp_path / "labels.csv", tmp_path / "manifest.csv"
    labels.write_text("path,label\n" + "".join(f"set.npy#{k:04d},{'ab'[k % 2]}\n" for k in range(6)), encoding="utf-8")
    words = ["scan", "--domain", "pointcloud"]
    assert main([*words, str(tmp_path / "set.npy"), "--labels", str(labels), "--out", str(out)]) == 0
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["label"]) for row in rows] == [(f"set.npy#{k:04d}", "ab"[k % 2]) for k in range(6)]
    lines = out.read_text(encoding="utf-8").splitlines(keepends=True)
    out.write_text("".join(line for line in lines if "#0001" not in line and "#0004" not in line), encoding="utf-8")
    capsys.readouterr()
    assert main([*words, "--manifest", str(out), "--out", str(tmp_path / "again.csv")]) == 0
    assert "manifest: 4 items in 4 rows" in capsys.readouterr().out
    with (tmp_path / "again.csv").open(encoding="utf-8") as file:
        assert [row["path"][-4:] for row in csv.DictReader(file)] == ["0000", "0002", "0003", "0005"]
    out.write_text("path,split\nset.npy#0001,train\nset.npy#0002,test\nset.npy#0009,test\n", encoding="utf-8")
    capsys.readouterr()
    assert main([*words, "--manifest", str(out), "data.max_bad_fraction=0.5"]) == 0
    assert "set.npy#0009: the file holds no such item" in capsys.readouterr().out
