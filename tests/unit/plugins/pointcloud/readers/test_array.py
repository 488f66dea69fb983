"""NPY and NPZ."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.readers import header_of, read_cloud

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(40, 3)).astype(np.float32)


def test_one_cloud_and_several(tmp_path):
    np.save(tmp_path / "one.npy", XYZ)
    assert np.array_equal(read_cloud(tmp_path / "one.npy").xyz, XYZ)
    many = RNG.normal(size=(5, 40, 3))
    np.save(tmp_path / "many.npy", many)
    assert (header_of(tmp_path / "many.npy").clouds, header_of(tmp_path / "many.npy").points) == (5, 40)
    assert np.array_equal(read_cloud(tmp_path / "many.npy", 3, 2).xyz, many[3, ::2])
    with pytest.raises(Unreadable, match="5 clouds, not 6"):
        read_cloud(tmp_path / "many.npy", 5)


def test_named_arrays(tmp_path):
    colours, labels = RNG.integers(0, 256, (40, 3)).astype(np.uint8), RNG.integers(0, 4, (40, 1))
    np.savez(tmp_path / "x.npz", coord=XYZ, color=colours, normal=XYZ, segment=labels, other=np.zeros(7))
    header = header_of(tmp_path / "x.npz")
    assert header.fields == ("red", "green", "blue", "nx", "ny", "nz", "segment")
    cloud = read_cloud(tmp_path / "x.npz")
    assert np.array_equal(cloud.fields["green"], colours[:, 1]) and np.array_equal(cloud.fields["nz"], XYZ[:, 2])
    assert np.array_equal(cloud.fields["segment"], labels[:, 0])
    np.savez(tmp_path / "axes.npz", x=XYZ[:, 0], y=XYZ[:, 1], z=XYZ[:, 2])
    assert np.array_equal(read_cloud(tmp_path / "axes.npz").xyz, XYZ)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"a": XYZ, "b": XYZ}, "none of its arrays"),
        ({"points": XYZ[:, :2]}, "no three columns"),
        ({"points": XYZ[:, 0]}, r"points are \[N, 3\]"),
        ({"points": np.array([{"x": 1}], dtype=object)}, "Python objects"),
        ({"points": np.array([["a", "b", "c"]])}, "points are"),
    ],
)
def test_what_cannot_be_points_is_named(tmp_path, arrays, why):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(Unreadable, match=why):
        header_of(tmp_path / "x.npz")


def test_damage_is_named(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(Unreadable, match="not a readable NPZ file"):
        header_of(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", XYZ)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-9])
    with pytest.raises(Unreadable, match="not a readable NPY file"):
        header_of(tmp_path / "x.npy")
