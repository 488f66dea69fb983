"""Meshes, and points spread over them."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.cloud import Cloud
from ssl_platform_pointcloud.readers import header_of, read_cloud
from ssl_platform_pointcloud.readers.mesh import surface_points

CORNERS = np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0], [0, 0, 3]])
FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4]])


@pytest.mark.parametrize("ending", ["off", "obj"])
def test_what_is_written_is_read(tmp_path, ending):
    path = writers.write_mesh(tmp_path / f"x.{ending}", CORNERS, FACES)
    assert (header_of(path).points, header_of(path).faces) == (5, 3)
    cloud = read_cloud(path)
    assert np.array_equal(cloud.xyz, CORNERS) and np.array_equal(cloud.faces, FACES)


def test_quads_and_stl(tmp_path):
    import trimesh

    (tmp_path / "q.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
    assert len(read_cloud(tmp_path / "q.obj").faces) == 2
    trimesh.Trimesh(CORNERS, FACES, process=False).export(str(tmp_path / "x.stl"))
    assert len(read_cloud(tmp_path / "x.stl").faces) == 3


def test_points_lie_on_the_surface_in_proportion_to_area():
    found = surface_points(Cloud(CORNERS, {}, FACES), 20_000)
    flat = found.xyz[:, 2] == 0
    assert np.abs(flat.mean() - 2 / 3.5) < 0.02, "area 2 of 3.5 lies flat"
    assert np.allclose(np.abs(found.fields["nz"][flat]), 1) and np.allclose(found.fields["nx"][~flat], 1, atol=1e-6)
    assert np.abs(found.xyz[flat, 0].mean() - 1) < 0.02
    again = surface_points(Cloud(CORNERS, {}, FACES), 20_000)
    assert np.array_equal(found.xyz, again.xyz)


def test_what_is_no_surface_is_named(tmp_path):
    with pytest.raises(Unreadable, match="no area"):
        surface_points(Cloud(CORNERS * 0, {}, FACES), 10)
    with pytest.raises(Unreadable, match="vertex 9 of 5"):
        surface_points(Cloud(CORNERS, {}, FACES + 5), 10)
    for ending in ("off", "obj", "stl"):
        (tmp_path / f"x.{ending}").write_text("these are my notes\n")
        with pytest.raises(Unreadable, match=f"not a readable {ending.upper()} file"):
            header_of(tmp_path / f"x.{ending}")
