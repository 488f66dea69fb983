"""Files to rows: what counts, what is refused."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.items import fit, label_field, metres_of, rows_of, up_of
from ssl_platform_pointcloud.options import PointCloudOptions

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(200, 3))
COLOURS = {name: RNG.integers(0, 256, 200).astype(np.uint8) for name in ("red", "green", "blue")}


def row_of(path, **options):
    (row,) = (fit(row, PointCloudOptions(**options)) for row in rows_of(path, PointCloudOptions(**options)))
    return row


def test_only_finite_points_count(tmp_path):
    xyz = XYZ.copy()
    xyz[:50] = np.nan
    row = row_of(writers.write_pcd(tmp_path / "x.pcd", xyz, COLOURS, height=20))
    assert row.shape == (150,) and row.meta["dropped"] == 50 and row.meta["organised"]
    assert row.channels == ("x", "y", "z", "red", "green", "blue") and row.meta["colour_max"] == 255


def test_every_nth_of_a_large_item_is_kept(tmp_path):
    xyz = RNG.normal(size=(5000, 3))
    for path in (writers.write_ply(tmp_path / "x.ply", xyz), writers.write_las(tmp_path / "x.las", xyz)):
        row = row_of(path, max_points=1500)
        assert row.shape == (1250,) and row.meta["step"] == 4
    assert row_of(path, max_points=1500, thin=4).shape == (313,)


def test_meshes_are_surfaces_unless_asked_for_vertices(tmp_path):
    faces = RNG.integers(0, 200, (300, 3))
    path = writers.write_ply(tmp_path / "x.ply", XYZ, COLOURS, faces=faces)
    assert row_of(path, mesh_points=500).shape == (500,)
    assert row_of(path, mesh_points=500).channels == ("x", "y", "z", "nx", "ny", "nz")
    assert row_of(path, mesh="vertices").channels == ("x", "y", "z", "red", "green", "blue")
    assert row_of(path, mesh="vertices").shape == (200,)


def test_several_clouds_of_a_file_are_items(tmp_path):
    np.save(tmp_path / "x.npy", RNG.normal(size=(3, 64, 3)))
    rows = list(rows_of(tmp_path / "x.npy", PointCloudOptions()))
    assert [row.id for row in rows] == ["0000", "0001", "0002"] and {row.shape for row in rows} == {(64,)}


def test_labels_never_become_features(tmp_path):
    path = writers.write_ply(tmp_path / "x.ply", XYZ, {"intensity": XYZ[:, 0], "class": np.zeros(200, np.uint8)})
    row = row_of(path)
    assert row.channels == ("x", "y", "z", "intensity") and label_field(row, PointCloudOptions()) == "class"
    # A field that is named as the labels is none, even when asked for by name as a feature.
    assert row_of(path, label_field="intensity", features=["intensity"]).channels == ("x", "y", "z")


def test_fields_that_were_never_filled_are_absent(tmp_path):
    zero = np.zeros(200, np.uint16)
    path = writers.write_las(tmp_path / "x.las", XYZ, {"intensity": zero, **dict.fromkeys(COLOURS, zero)})
    assert row_of(path).channels == ("x", "y", "z")
    shining = writers.write_las(tmp_path / "y.las", XYZ, {"intensity": zero + 1})
    assert row_of(shining).channels == ("x", "y", "z", "intensity")


def test_units_and_axes_come_from_the_nearest_source(tmp_path):
    las = row_of(writers.write_las(tmp_path / "x.las", XYZ, metres=0.3048))
    ply = row_of(writers.write_ply(tmp_path / "x.ply", XYZ))
    pcd = row_of(writers.write_pcd(tmp_path / "x.pcd", XYZ, height=10))
    auto, feet = PointCloudOptions(), PointCloudOptions(unit="us-ft", up="x")
    assert metres_of(las, auto) == pytest.approx((0.3048,) * 3) and metres_of(ply, auto) == (1, 1, 1)
    assert metres_of(ply, feet) == pytest.approx((0.3048006096,) * 3)
    assert metres_of(ply.replace(meta={**ply.meta, "unit": "mm"}), feet) == (0.001,) * 3
    assert (up_of(las, feet), up_of(ply, feet), up_of(ply, auto), up_of(pcd, auto)) == ("z", "x", "z", "-y")
    assert up_of(las.replace(meta={**las.meta, "up": "y"}), feet) == "y"
    for wrong, why in (({"unit": "yards"}, "'unit' is 'yards': m, cm"), ({"up": "north"}, "'up' is 'north'")):
        with pytest.raises(Unreadable, match=why):
            fit(ply.replace(meta={**ply.meta, **wrong}), auto)


def test_too_few_points_and_no_extent_are_refused(tmp_path):
    few = writers.write_ply(tmp_path / "few.ply", XYZ[:9])
    with pytest.raises(Unreadable, match=r"9 points: fewer than data\.min_points=32"):
        row_of(few)
    assert row_of(few, min_points=5).shape == (9,)
    with pytest.raises(Unreadable, match=r"10 points \(190 more are NaN\)"):
        xyz = XYZ.copy()
        xyz[10:] = np.nan
        row_of(writers.write_pcd(tmp_path / "nan.pcd", xyz))
    with pytest.raises(Unreadable, match="all its 200 points lie in one place"):
        row_of(writers.write_ply(tmp_path / "one.ply", XYZ * 0 + 3))
