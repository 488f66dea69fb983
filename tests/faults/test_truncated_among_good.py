"""A file whose header is fine and whose content is cut off is named before the first step, and the others are used."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform.config.schema import RunConfig
from ssl_platform.data.preparation import prepare
from ssl_platform.errors import DataError
from ssl_platform.opening import open_data


def volumes(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(4):
        data = rng.integers(0, 1000, (24, 24, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), folder / f"v{i}.nii.gz")
    whole = (folder / "v0.nii.gz").read_bytes()
    (folder / "broken.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def config(data: Path, cache: Path, limit: float) -> RunConfig:
    return RunConfig.model_validate(
        {"domain": "medical3d", "data": {"paths": [str(data)], "max_bad_fraction": limit}, "cache": {"dir": str(cache)}}
    )


def test_the_run_goes_on_without_it_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    listed = tmp_path / "quarantine.csv"
    opened = open_data(config(volumes(tmp_path / "data"), tmp_path / "cache", 0.5), quarantine=listed)
    assert [row.id for row in opened.rows] == [f"v{i}.nii.gz" for i in range(4)]
    (line,) = [line for line in opened.lines if line.startswith("quarantined:")]
    assert "1 of 5 items" in line and "broken.nii.gz: truncated or damaged" in line
    assert "broken.nii.gz" in listed.read_text(encoding="utf-8")
    assert prepare(opened.catalog, opened.domain).prepared == 4


def test_too_many_of_them_stop_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"1 of 5 items .* data.max_bad_fraction=0.05 .*=0.2 leaves"):
        open_data(config(volumes(tmp_path / "data"), tmp_path / "cache", 0.05))


@pytest.mark.parametrize(("how", "named"), [("auto", True), ("full", True), ("header", False)])
def test_scan_names_them_too(tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, named: bool) -> None:
    (tmp_path / "data").mkdir()
    data, cache = volumes(tmp_path / "data"), tmp_path / "cache"
    words = ["scan", str(data), "--domain", "medical3d", f"cache.dir={cache}", f"data.check={how}"]
    out = tmp_path / "manifest.csv"
    assert main([*words, "data.max_bad_fraction=0.5", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert ("broken.nii.gz: truncated or damaged" in text) is named
    assert ("content: 4 of 5 items were read to their end" in text) is named
    assert ("quarantined: 1" if named else "quarantined: none") in text
    assert ("broken" in out.read_text(encoding="utf-8")) is not named
    assert not list((cache / "prepared").rglob("*.*")), "a scan keeps no copies of the data"


def test_scan_says_all_before_it_refuses_what_a_run_would_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    data = volumes(tmp_path / "data")
    words = ["scan", str(data), "--domain", "medical3d", f"cache.dir={tmp_path / 'cache'}"]
    assert main(words) == 0
    assert "quarantined: 1\n" in capsys.readouterr().out
    assert main([*words, "data.max_bad_fraction=0.05"]) == 2
    said = capsys.readouterr()
    assert "quarantined: 1\n" in said.out and "size in cells: D 24, H 24, W 24" in said.out
    assert "1 of 5 items are unreadable, more than data.max_bad_fraction=0.05 allows" in said.err


def test_a_large_set_says_that_its_content_was_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("ssl_platform.data.content.FEW_ITEMS", 4)
    asked = config(volumes(tmp_path / "data"), tmp_path / "cache", 0.5)
    opened = open_data(asked)
    assert len(opened.catalog) == 5 and not opened.quarantined
    (line,) = [line for line in opened.lines if line.startswith("content:")]
    assert "only headers were read (5 items, 0.0 GB)" in line and "data.check=full" in line
    asked.data.check = "full"
    assert len(open_data(asked).catalog) == 4
