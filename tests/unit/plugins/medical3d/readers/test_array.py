"""Plain arrays: stored spacing, names, frames, what is refused."""

import numpy as np
import pytest
import zarr

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.readers import array
from ssl_platform_medical3d.testing import write_zarr

VOLUME = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)


def test_npy_has_no_spacing(tmp_path):
    np.save(tmp_path / "x.npy", VOLUME)
    (header,) = array.read_headers(tmp_path / "x.npy")
    assert not header.spaced and np.array_equal(array.read_voxels(header)[0], VOLUME)


def test_npz_may_store_it(tmp_path):
    np.savez(tmp_path / "x.npz", image=VOLUME, other=np.zeros(3), spacing=[3.0, 1.0, 2.0])
    (header,) = array.read_headers(tmp_path / "x.npz")
    assert header.spaced and header.spacing == (3.0, 1.0, 2.0)
    assert np.array_equal(array.read_voxels(header)[0], VOLUME)
    np.savez(tmp_path / "y.npz", a=VOLUME, b=VOLUME)
    with pytest.raises(Unreadable, match=r"holds 2 arrays \(a, b\)"):
        array.read_headers(tmp_path / "y.npz")
    np.savez(tmp_path / "z.npz", data=VOLUME, spacing=[3.0, 0.0, 2.0])
    with pytest.raises(Unreadable, match="three positive numbers"):
        array.read_headers(tmp_path / "z.npz")


def test_zarr_arrays_and_groups(tmp_path):
    (header,) = array.read_headers(write_zarr(tmp_path / "x.zarr", VOLUME, (2.0, 1.0, 1.0)))
    assert header.spacing == (2.0, 1.0, 1.0) and np.array_equal(array.read_voxels(header)[0], VOLUME)
    group = zarr.open_group(str(tmp_path / "g.zarr"), mode="w")
    stored = group.create_array("image", shape=VOLUME.shape, dtype="float32")
    stored[...] = VOLUME
    (header,) = array.read_headers(tmp_path / "g.zarr")
    assert not header.spaced and np.array_equal(array.read_voxels(header)[0], VOLUME)


def test_frames_lead(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([VOLUME, VOLUME + 1]))
    (header,) = array.read_headers(tmp_path / "x.npy")
    assert header.frames == 2 and header.shape == (3, 4, 5)
    assert np.array_equal(array.read_voxels(header, 1)[0], VOLUME + 1)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(Unreadable):
        array.read_headers(tmp_path / "x.npy")
    np.save(tmp_path / "y.npy", np.zeros((3, 3, 3), "U4"))
    with pytest.raises(Unreadable, match="not numbers"):
        array.read_headers(tmp_path / "y.npy")
