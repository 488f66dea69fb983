from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError, DataError
from ssl_platform.opening import OpenData, open_data

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("ssl_platform_medical3d")


def volume(path: Path, values: np.ndarray, spacing: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([spacing, spacing, spacing, 1.0])), path)


@pytest.fixture
def segmented(tmp_path: Path) -> Path:
    """Six volumes with masks of the classes 0 and 2."""
    draws = np.random.default_rng(0)
    for k in range(6):
        volume(tmp_path / "set" / "imagesTr" / f"p{k}.nii.gz", draws.normal(size=(8, 8, 8)).astype(np.float32))
        volume(tmp_path / "set" / "labelsTr" / f"p{k}.nii.gz", (draws.random((8, 8, 8)) > 0.7).astype(np.uint8) * 2)
    return tmp_path / "set"


def opened(folder: Path, cache: Path, **labels: object) -> OpenData:
    config = RunConfig.model_validate(
        {
            "command": "scan",
            "domain": "medical3d",
            "data": {"paths": [str(folder)]},
            "labels": {"source": str(folder / "labelsTr"), **labels},
            "cache": {"dir": str(cache)},
        }
    )
    return open_data(config)


def test_masks_are_read_once_and_name_the_classes_that_occur(segmented: Path, tmp_path: Path) -> None:
    data = opened(segmented, tmp_path / "cache")
    assert len(data.catalog) == 6 and len(data.masks) == 6
    assert data.facts.layout is not None and data.facts.layout.values == (0, 2)
    assert data.splits.folds == 5 and not data.quarantined


def test_a_pair_whose_grids_differ_is_quarantined_unless_masks_are_resampled(segmented: Path, tmp_path: Path) -> None:
    volume(segmented / "labelsTr" / "p3.nii.gz", np.eye(16, dtype=np.uint8)[None].repeat(16, 0) * 2, spacing=0.5)
    data = opened(segmented, tmp_path / "cache")
    (bad,) = data.quarantined
    assert bad.path == str(segmented / "labelsTr" / "p3.nii.gz") and "labels.resample=nearest" in bad.reason
    assert data.facts.labelled.sum() == 5 and len(data.catalog) == 6
    again = opened(segmented, tmp_path / "cache", resample="nearest")
    assert again.facts.labelled.sum() == 6 and not again.quarantined


def test_an_unreadable_mask_stops_with_its_name(segmented: Path, tmp_path: Path) -> None:
    path = segmented / "labelsTr" / "p3.nii.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"mask .*p3.nii.gz of 'imagesTr/p3.nii.gz' cannot be read \(.+\): correct it"):
        opened(segmented, tmp_path / "cache")


def test_a_subset_names_its_items_by_id(segmented: Path, tmp_path: Path) -> None:
    def opened_with(**data: object) -> OpenData:
        given = {"paths": [str(segmented)], **data}
        return open_data(
            RunConfig.model_validate({"domain": "medical3d", "data": given, "cache": {"dir": str(tmp_path)}})
        )

    (tmp_path / "few.csv").write_text("id\nimagesTr/p4.nii.gz\nimagesTr/p1.nii.gz\nelsewhere\n")
    found = opened_with(subset=str(tmp_path / "few.csv"))
    assert found.catalog.column("id") == ["imagesTr/p1.nii.gz", "imagesTr/p4.nii.gz"]
    (tmp_path / "none.csv").write_text("id\nelsewhere\n")
    with pytest.raises(DataError, match=r"data\.subset=.*none\.csv: names none of the 6 items"):
        opened_with(subset=str(tmp_path / "none.csv"))
    with pytest.raises(ConfigError, match=r"data\.with=t\.parquet: no objective of this release reads a joined table"):
        opened_with(**{"with": "t.parquet"})
