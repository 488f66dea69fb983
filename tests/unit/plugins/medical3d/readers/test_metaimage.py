"""MetaImage: LPS geometry, detached data, missing facts."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.readers import metaimage

VOLUME = np.arange(3 * 4 * 5, dtype="<i2").reshape(3, 4, 5)
FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "10 20 30",
    "ElementSpacing": "2 3 4",
    "DimSize": "3 4 5",
    "ElementType": "MET_SHORT",
}


def write(path, data_file="LOCAL", drop=()):
    text = "".join(f"{name} = {value}\n" for name, value in FIELDS.items() if name not in drop)
    raw = VOLUME.tobytes(order="F")
    path.write_bytes(f"{text}ElementDataFile = {data_file}\n".encode() + (raw if data_file == "LOCAL" else b""))
    if data_file != "LOCAL":
        (path.parent / data_file).write_bytes(raw)
    return path


def test_geometry_is_lps(tmp_path):
    (header,) = metaimage.read_headers(write(tmp_path / "x.mha"))
    assert np.allclose(header.affine, [[-2, 0, 0, -10], [0, -3, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]])
    assert np.array_equal(metaimage.read_voxels(header)[0], VOLUME) and header.dtype == "int16"


def test_detached_data(tmp_path):
    path = write(tmp_path / "x.mhd", "x.raw")
    (header,) = metaimage.read_headers(path)
    assert np.array_equal(metaimage.read_voxels(header)[0], VOLUME)
    (tmp_path / "x.raw").write_bytes(b"")
    with pytest.raises(Unreadable, match="empty"):
        metaimage.read_headers(path)
    (tmp_path / "x.raw").unlink()
    with pytest.raises(Unreadable, match="not beside it"):
        metaimage.read_headers(path)


def test_what_is_not_said(tmp_path):
    (header,) = metaimage.read_headers(write(tmp_path / "x.mha", drop=("ElementSpacing",)))
    assert not header.spaced
    (header,) = metaimage.read_headers(write(tmp_path / "y.mha", drop=("TransformMatrix",)))
    assert "orientation unknown" in header.notes[0]


def test_truncated_data_is_refused_when_read(tmp_path):
    path = write(tmp_path / "x.mha")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(Unreadable):
        metaimage.read_voxels(metaimage.read_headers(path)[0])
