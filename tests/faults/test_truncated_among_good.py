"""A file whose header is fine and whose content is cut off is named before the first step, and the others are used."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

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
    with pytest.raises(DataError, match=r"1 of 5 items are unreadable, more than data.max_bad_fraction=0.05"):
        open_data(config(volumes(tmp_path / "data"), tmp_path / "cache", 0.05))
