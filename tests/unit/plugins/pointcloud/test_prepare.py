"""Items in the frame and order their windows are read from."""

import numpy as np
import pytest

from ssl_platform.data.cache import Cache
from ssl_platform.data.window import grid_windows
from ssl_platform.errors import Unreadable
from ssl_platform.types import Window
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.domain import PointCloud
from ssl_platform_pointcloud.options import PointCloudOptions
from ssl_platform_pointcloud.prepare import upright

RNG = np.random.default_rng(0)
XYZ = RNG.uniform(-1, 1, (600, 3)) * [3, 2, 1]
NORMAL = RNG.normal(size=(600, 3)).astype(np.float32)
FIELDS = {
    **dict(zip(("nx", "ny", "nz"), NORMAL.T, strict=True)),
    **{name: RNG.integers(0, 256, 600).astype(np.uint8) for name in ("red", "green", "blue")},
}
SCENE = {"kind": "scenes", "up": "z", "scale": "metric", "thin": 1, "colour_max": 255.0}
OBJECT = {**SCENE, "kind": "objects", "scale": "unit"}


def opened(path, folder, **options):
    domain = PointCloud(PointCloudOptions(**options))
    domain.cache = Cache(folder / "cache")
    (row,) = domain.scan(path)
    return domain, row


def points(domain, row, start=0, size=None, key=0):
    return domain.read(row, Window((start,), (size or row.shape[0],), key))["main"]


@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
def test_upright_is_a_rotation(up):
    turn = upright(up)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.isclose(np.linalg.det(turn), 1)
    axis = np.eye(3)["xyz".index(up[-1])] * (-1 if up[0] == "-" else 1)
    assert np.allclose(turn @ axis, [0, 0, 1])


def test_objects_fit_the_unit_sphere(tmp_path):
    domain, row = opened(writers.write_ply(tmp_path / "x.ply", XYZ + 40, FIELDS), tmp_path, **OBJECT)
    part = points(domain, row)
    assert part.channels == ("x", "y", "z", "red", "green", "blue", "nx", "ny", "nz") and part.valid is None
    assert part.data.dtype == np.float32 and np.linalg.norm(part.data[:, :3], axis=1).max() == pytest.approx(
        1, abs=1e-5
    )
    box = part.data[:, :3].min(0) + part.data[:, :3].max(0)
    assert np.abs(box).max() < 1e-5 and 0 <= part.data[:, 3:6].min() < part.data[:, 3:6].max() <= 1
    assert np.allclose(np.linalg.norm(part.data[:, 6:], axis=1), 1, atol=1e-5)


def test_scenes_keep_metres_and_precision_far_from_the_origin(tmp_path):
    far = XYZ + np.array([512_000.0, 5_403_000.0, 200.0])
    domain, row = opened(writers.write_las(tmp_path / "x.las", far / 0.3048, metres=0.3048), tmp_path, **SCENE)
    data = points(domain, row).data
    extent = XYZ.max(0) - XYZ.min(0)
    assert np.allclose(data.max(0) - data.min(0), extent, atol=2e-3)
    inner = np.linalg.norm(data[:, None] - data, axis=-1)
    outer = np.linalg.norm(XYZ[:, None] - XYZ, axis=-1)
    assert np.abs(np.sort(inner.ravel()) - np.sort(outer.ravel())).max() < 2e-3


def test_normals_turn_with_the_axis(tmp_path):
    domain, row = opened(writers.write_ply(tmp_path / "x.ply", XYZ, FIELDS), tmp_path, **{**SCENE, "up": "y"})
    data = points(domain, row).data
    unit = NORMAL / np.linalg.norm(NORMAL, axis=1, keepdims=True)
    turned = np.concatenate([XYZ, unit], axis=1)[:, [0, 2, 1, 3, 5, 4]] * [1, -1, 1, 1, -1, 1]
    turned[:, :3] -= (turned[:, :3].min(0) + turned[:, :3].max(0)) / 2
    found = data[:, [0, 1, 2, 6, 7, 8]]
    assert np.allclose(found[np.lexsort(found.T[::-1])], turned[np.lexsort(turned.T[::-1])], atol=1e-5)


def test_windows_of_a_scene_are_regions_and_of_an_object_samples(tmp_path):
    path = writers.write_ply(tmp_path / "x.ply", RNG.uniform(-1, 1, (4000, 3)))
    spread = {}
    for kind in (SCENE, OBJECT):
        domain, row = opened(path, tmp_path, **kind)
        window = points(domain, row, 1000, 500).data
        whole = points(domain, row).data
        spread[kind["kind"]] = window.std(0).mean() / whole.std(0).mean()
    assert spread["scenes"] < 0.6 and 0.9 < spread["objects"] < 1.1


def test_windows_cover_every_point_once(tmp_path):
    domain, row = opened(writers.write_ply(tmp_path / "x.ply", XYZ), tmp_path, **SCENE)
    whole = points(domain, row).data
    parts = [domain.read(row, window)["main"] for window in grid_windows(row, (256,))]
    rows = {tuple(point) for part in parts for point in part.data.tolist()}
    assert rows == {tuple(point) for point in whole.tolist()}
    beyond = points(domain, row, -100, 800)
    assert beyond.valid.sum() == 600 and beyond.valid[100:700].all() and (beyond.data[~beyond.valid] == 0).all()
    assert np.array_equal(beyond.data[100:700], whole)
    outside = points(domain, row, 900, 10)
    assert not outside.valid.any()


def test_one_point_of_each_cell_is_read(tmp_path):
    path = writers.write_ply(tmp_path / "x.ply", XYZ[:599])
    plain, all_points = opened(path, tmp_path, **SCENE)
    every = points(plain, all_points).data
    domain, row = opened(path, tmp_path, **{**SCENE, "thin": 4})
    assert row.shape == (150,)
    first = points(domain, row).data
    assert np.array_equal(first, every[::4]), "without a key the first of each cell"
    seen = [points(domain, row, key=key).data for key in range(1, 60)]
    assert not np.array_equal(seen[0], seen[1])
    for cell in (0, 70, 149):
        there = {tuple(data[cell]) for data in seen}
        assert there == {tuple(point) for point in every[4 * cell : 4 * cell + 4].tolist()}
    again = points(domain, row, 40, 30, key=7).data
    assert np.array_equal(again, points(domain, row, key=7).data[40:70]), "a key draws the same whatever the window"


def test_values_that_are_not_finite_become_the_mean(tmp_path):
    heat = np.arange(600, dtype=np.float32)
    heat[::2] = np.nan
    domain, row = opened(writers.write_ply(tmp_path / "x.ply", XYZ, {"intensity": heat}), tmp_path, **SCENE)
    values = points(domain, row).data[:, 3]
    assert np.isfinite(values).all() and (values == 300).sum() >= 300


def test_a_file_that_changed_is_named(tmp_path):
    path = writers.write_ply(tmp_path / "x.ply", XYZ)
    domain, row = opened(path, tmp_path, **SCENE)
    writers.write_ply(path, XYZ[:500])
    with pytest.raises(Unreadable, match="500 points where 600 were scanned"):
        domain.prepare(row)
    path.unlink()
    with pytest.raises(Unreadable, match="no longer there"):
        domain.prepare(row)
