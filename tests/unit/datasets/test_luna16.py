from pathlib import Path

import numpy as np
import pytest

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.luna16 import BOX_MM, rows

COLUMNS = "seriesuid,coordX,coordY,coordZ,class\n"


@pytest.mark.parametrize(
    "direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, -1, 0, 0, 0, 1), (0, 1, 0, 0, 0, 1, 1, 0, 0)]
)
def test_windows_lie_where_itk_says(direction: tuple[int, ...], tmp_path: Path) -> None:
    """A candidate's place in mm is the middle of its window in voxels, for flipped and turned scans too."""
    import SimpleITK

    image = SimpleITK.Image(120, 110, 100, SimpleITK.sitkInt16)
    image.SetOrigin((-180.5, -160.25, -300.0))
    image.SetSpacing((0.7, 0.8, 1.25))
    image.SetDirection(direction)
    (tmp_path / "subset3").mkdir()
    SimpleITK.WriteImage(image, str(tmp_path / "subset3" / "scan.mhd"))
    voxel = (60, 52, 47)
    place = ",".join(map(str, image.TransformIndexToPhysicalPoint(voxel)))
    (tmp_path / "candidates_V2.csv").write_text(f"{COLUMNS}scan,{place},1\nother,0,0,0,0\n")
    (row,) = rows(tmp_path)
    assert (row["path"], row["label"], row["fold"], row["group"]) == ("subset3/scan.mhd", "nodule", "3", "scan")
    box = np.array([[int(end) for end in part.split(":")] for part in row["window"].split(",")])
    np.testing.assert_allclose(box.mean(1), voxel, atol=0.51)
    sides = (box[:, 1] - box[:, 0]) * np.array(image.GetSpacing())
    assert ((sides >= BOX_MM) & (sides < BOX_MM + 2 * np.array(image.GetSpacing()) + 1e-6)).all()


def test_windows_end_with_the_scan_and_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no subset0/\*\.mhd"):
        list(rows(tmp_path))
    (tmp_path / "subset0").mkdir()
    header = "NDims = 3\nDimSize = 50 50 50\nElementSpacing = 1 1 1\nOffset = 0 0 0\n"
    (tmp_path / "subset0" / "a.mhd").write_text(header)
    with pytest.raises(DataError, match=r"candidates_V2\.csv: missing"):
        list(rows(tmp_path))
    (tmp_path / "candidates_V2.csv").write_text(f"{COLUMNS}a,2,25,49,0\n")
    assert [row["window"] for row in rows(tmp_path)] == ["0:26,1:49,25:50"]
    (tmp_path / "subset0" / "a.mhd").write_text(header.replace("DimSize", "Size"))
    with pytest.raises(DataError, match=r"a\.mhd: not a MetaImage header"):
        list(rows(tmp_path))
    (tmp_path / "candidates_V2.csv").write_text("seriesuid,x,y,z,class\n")
    with pytest.raises(DataError, match="has no column 'coordX'"):
        list(rows(tmp_path))
