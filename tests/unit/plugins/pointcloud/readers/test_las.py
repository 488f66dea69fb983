"""LAS and LAZ, their units, and memory that does not grow with the file."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.readers import header_of, las, read_cloud

RNG = np.random.default_rng(0)
XYZ = RNG.uniform(0, 100, (500, 3)) + np.array([512_000, 5_403_000, 200])
FIELDS = {
    "intensity": RNG.integers(0, 4000, 500).astype(np.uint16),
    "classification": RNG.integers(0, 9, 500).astype(np.uint8),
    **{name: RNG.integers(0, 65536, 500).astype(np.uint16) for name in ("red", "green", "blue")},
}


@pytest.mark.parametrize("ending", ["las", "laz"])
def test_what_is_written_is_read(tmp_path, ending):
    path = writers.write_las(tmp_path / f"x.{ending}", XYZ, FIELDS)
    header = header_of(path)
    assert header.points == 500 and header.finite and header.unit is None
    assert set(header.fields) == set(FIELDS)
    cloud = read_cloud(path)
    assert np.abs(cloud.xyz - XYZ).max() < 1e-3, "millimetres survive far from the origin"
    for name, values in FIELDS.items():
        assert np.array_equal(cloud.fields[name], values)


def test_steps_run_on_across_chunks(tmp_path, monkeypatch):
    path = writers.write_las(tmp_path / "x.laz", XYZ)
    whole = read_cloud(path).xyz
    monkeypatch.setattr(las, "CHUNK", 64)
    for step in (1, 3, 64, 100):
        assert np.array_equal(read_cloud(path, step=step).xyz, whole[::step])


WKT1 = 'PROJCS["p",GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298.25]],UNIT["degree",0.0174532925199433]],{}]'


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (WKT1.format('UNIT["metre",1]'), (1, 1, 1)),
        (WKT1.format('UNIT["US survey foot",0.304800609601219]'), (0.304800609601219,) * 3),
        (
            f'COMPD_CS["c",{WKT1.format(chr(85) + "NIT[" + chr(34) + "metre" + chr(34) + ",1]")},'
            'VERT_CS["v",UNIT["foot",0.3048]]]',
            (1, 1, 0.3048),
        ),
        ('PROJCRS["p",BASEGEOGCRS["g",ANGLEUNIT["degree",0.01745]],LENGTHUNIT["metre",1]]', (1, 1, 1)),
        ('LOCAL_CS["x"]', None),
    ],
)
def test_units_of_coordinate_systems(text, unit):
    found = las._of_wkt(text)
    assert found == unit if unit is None else found == pytest.approx(unit)


def test_degrees_are_refused():
    with pytest.raises(Unreadable, match="degrees: reproject"):
        las._of_wkt('GEOGCS["WGS 84",DATUM["d",SPHEROID["s",6378137,298.25]],UNIT["degree",0.0174532925199433]]')


def test_the_unit_is_in_the_header(tmp_path):
    assert header_of(writers.write_las(tmp_path / "x.las", XYZ, metres=0.3048)).unit == pytest.approx((0.3048,) * 3)


@pytest.mark.parametrize("ending", ["las", "laz"])
def test_truncated_files_are_named(tmp_path, ending):
    path = writers.write_las(tmp_path / f"x.{ending}", XYZ)
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(Unreadable, match="truncated"):
        header_of(path)
        read_cloud(path)
    path.write_text("notes")
    with pytest.raises(Unreadable, match="not a readable LAS file"):
        header_of(path)


@pytest.mark.real
def test_real_lidar(real_data):
    path = real_data / "pointcloud" / "autzen_trim.las"
    header, cloud = header_of(path), read_cloud(path)
    assert header.points == len(cloud.xyz) == 110_000
    assert header.unit == pytest.approx((0.3048,) * 3), "the file is in feet"
    assert set(np.unique(cloud.fields["classification"])) == {1, 2}
    assert cloud.fields["red"].dtype == np.uint16 and cloud.fields["red"].max() < 256
