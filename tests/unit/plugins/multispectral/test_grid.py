"""Places and cell sizes on the ground, against independent projections."""

import numpy as np
import pyproj
import pytest

from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.grid import block, footprint, spacing_of
from ssl_platform_multispectral.scene import scene_of
from ssl_platform_multispectral.testing import write_raster

DATA = np.random.default_rng(0).integers(0, 60_000, (1, 40, 60)).astype(np.uint16)


def row_of(path, **profile):
    return next(iter(Multispectral().scan(write_raster(path, DATA, names=("B04",), **profile))))


@pytest.mark.parametrize(
    ("crs", "corner", "metres"),
    [
        ("EPSG:32633", (500_000, 5_000_000), 10.0),
        ("EPSG:4326", (15.0, 45.0), 1e-4),
        ("EPSG:3857", (1.67e6, 5.6e6), 10.0),
    ],
)
def test_cells_are_measured_on_the_ground(tmp_path, crs, corner, metres):
    row = row_of(tmp_path / "x.tif", crs=crs, corner=corner, metres=metres)
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    x, y = corner[0] + 30 * metres, corner[1] - 20 * metres
    (lon, east), (lat, south) = to_degrees.transform([x, x + metres], [y, y - metres])
    earth = pyproj.Geod(ellps="sphere")
    across, down = earth.inv(lon, lat, east, lat)[2], earth.inv(lon, lat, lon, south)[2]
    assert row.spacing == pytest.approx((down, across), rel=6e-3)
    assert (row.meta["lon"], row.meta["lat"]) == pytest.approx((lon, lat), abs=1e-5)
    if crs != "EPSG:4326":
        assert (row.meta["x"], row.meta["y"]) == pytest.approx((x, y))


def test_feet_become_metres(tmp_path):
    row = row_of(tmp_path / "x.tif", crs="EPSG:2225", corner=(6e6, 2e6), metres=3.0)  # US survey feet
    assert row.spacing == pytest.approx((0.9144, 0.9144), rel=1e-3)


def test_without_a_coordinate_system_there_is_no_spacing(tmp_path):
    row = row_of(tmp_path / "x.tif", crs=None)
    assert spacing_of(scene_of(row)) is None and "lon" not in row.meta


def test_the_footprint_holds_all_corners(tmp_path):
    row = row_of(tmp_path / "x.tif")
    west, south, east, north = footprint(scene_of(row))
    assert west < row.meta["lon"] < east and south < row.meta["lat"] < north


def test_blocks_are_about_as_wide_everywhere_and_meet_nowhere():
    assert block(15.0, 45.0, 10.0) == block(15.0, 45.0, 10.0)
    for lat in (0.0, 45.0, -70.0):
        names = [block(lon, lat, 10.0) for lon in np.arange(10, 12, 0.01)]
        wide = 2 * 111.195 * np.cos(np.radians(lat)) / len(set(names))
        assert 8 < wide < 12.5
    assert block(-0.01, 0.0, 10.0) != block(0.01, 0.0, 10.0)
