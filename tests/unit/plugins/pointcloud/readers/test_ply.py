"""PLY in its three encodings, as clouds and as meshes."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.readers import header_of, read_cloud

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(50, 3)).astype(np.float32)
FIELDS = {
    "nx": RNG.normal(size=50).astype(np.float32),
    "red": RNG.integers(0, 256, 50).astype(np.uint8),
    "label": RNG.integers(0, 9, 50).astype(np.int32),
}
ENCODINGS = ("ascii", "binary_little_endian", "binary_big_endian")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_written_is_read(tmp_path, encoding):
    path = writers.write_ply(tmp_path / "x.ply", XYZ, FIELDS, encoding=encoding)
    header = header_of(path)
    assert (header.points, header.fields, header.faces) == (50, ("nx", "red", "label"), 0)
    cloud = read_cloud(path)
    np.testing.assert_allclose(cloud.xyz, XYZ, rtol=1e-6)
    assert cloud.xyz.dtype == np.float64 and cloud.fields["red"].dtype.kind == "u"
    for name, values in FIELDS.items():
        np.testing.assert_allclose(cloud.fields[name], values, rtol=1e-6)
    assert np.array_equal(read_cloud(path, step=7).xyz, cloud.xyz[::7])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_meshes_keep_their_triangles(tmp_path, encoding):
    faces = RNG.integers(0, 50, (30, 3))
    cloud = read_cloud(writers.write_ply(tmp_path / "x.ply", XYZ, encoding=encoding, faces=faces))
    assert np.array_equal(cloud.faces, faces) and cloud.faces.dtype == np.int64


def test_polygons_become_fans(tmp_path):
    path = writers.write_ply(tmp_path / "x.ply", XYZ[:5], faces=np.array([[0, 1, 2]]))
    head, _ = path.read_bytes().split(b"end_header\n")
    records = XYZ[:5].astype("<f4").tobytes()
    square = b"\x04" + np.array([0, 1, 2, 3], "<i4").tobytes() + b"\x03" + np.array([2, 3, 4], "<i4").tobytes()
    path.write_bytes(head.replace(b"face 1", b"face 2") + b"end_header\n" + records + square)
    assert read_cloud(path).faces.tolist() == [[0, 1, 2], [0, 2, 3], [2, 3, 4]]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(Unreadable, match="truncated or damaged among its faces"):
        read_cloud(path)


def test_windows_of_steps_touch_only_their_points(tmp_path, monkeypatch):
    path = writers.write_ply(tmp_path / "x.ply", np.zeros((100_000, 3)))
    mapped = []
    real = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *a, **k: mapped.append(a[0]) or real(*a, **k))
    assert len(read_cloud(path, step=1000).xyz) == 100 and mapped == [path], "the file is mapped, not read"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda raw: raw[:-5], "truncated: .* of at least"),
        (lambda raw: b"notes\n" * 50, "not a PLY file"),
        (lambda raw: raw.replace(b"property float z", b"property float w"), "no x, y and z"),
        (lambda raw: raw.replace(b"float x", b"decimal x"), "header is damaged"),
        (lambda raw: raw.replace(b"vertex 50", b"vertex 0"), "no points"),
        (lambda raw: raw.replace(b"element vertex", b"element corner"), "lacks a format or plain vertices"),
    ],
)
def test_damage_is_named(tmp_path, change, why):
    path = writers.write_ply(tmp_path / "x.ply", XYZ)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Unreadable, match=why):
        header_of(path)


def test_missing_and_extra_numbers_are_named(tmp_path):
    path = writers.write_ply(tmp_path / "x.ply", XYZ, encoding="ascii")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-4]))
    with pytest.raises(Unreadable, match="truncated: 46 of 50 points"):
        read_cloud(path)
    path.write_text("\n".join([*lines[:-1], "1 2"]))
    with pytest.raises(Unreadable, match="not a table of numbers: the number of columns changed"):
        read_cloud(path)
