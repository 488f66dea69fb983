"""PCD in its three encodings."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.readers import header_of, read_cloud

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(60, 3)).astype(np.float32)
FIELDS = {
    **{name: RNG.integers(0, 256, 60).astype(np.uint8) for name in ("red", "green", "blue")},
    "label": RNG.integers(0, 9, 60).astype(np.uint32),
}
ENCODINGS = ("ascii", "binary", "binary_compressed")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_written_is_read(tmp_path, encoding):
    xyz = XYZ.copy()
    xyz[3] = np.nan
    path = writers.write_pcd(tmp_path / "x.pcd", xyz, FIELDS, encoding=encoding, height=6)
    header = header_of(path)
    assert header.points == 60 and header.organised
    assert header.fields == ("label", "red", "green", "blue")
    cloud = read_cloud(path)
    np.testing.assert_allclose(cloud.xyz, xyz, rtol=1e-6)
    # Colours packed into the bits of a float survive binary files; as decimal digits they do so where finite.
    for name, values in FIELDS.items():
        assert np.array_equal(cloud.fields[name], values)


def test_colours_packed_as_integers(tmp_path):
    rgba = (
        (FIELDS["red"].astype(np.uint32) << 16) | (FIELDS["green"].astype(np.uint32) << 8) | FIELDS["blue"] | 255 << 24
    )
    cloud = read_cloud(writers.write_pcd(tmp_path / "x.pcd", XYZ, {"rgba": rgba.astype(np.uint32)}))
    assert np.array_equal(cloud.fields["green"], FIELDS["green"])


def test_padding_and_histograms_are_skipped(tmp_path):
    head = "VERSION 0.7\nFIELDS x _ y z hist\nSIZE 4 1 4 4 4\nTYPE F U F F F\nCOUNT 1 3 1 1 5\nWIDTH 4\nHEIGHT 1\n"
    kinds = [("x", "<f4"), ("p", "u1", 3), ("y", "<f4"), ("z", "<f4"), ("h", "<f4", 5)]
    table = np.zeros(4, kinds)
    table["x"], table["z"] = [1, 2, 3, 4], 9
    path = tmp_path / "x.pcd"
    path.write_bytes(head.encode() + b"DATA binary\n" + table.tobytes())
    cloud = read_cloud(path)
    assert cloud.xyz.tolist() == [[x, 0, 9] for x in (1, 2, 3, 4)] and not cloud.fields


@pytest.mark.parametrize(
    ("encoding", "change", "why"),
    [
        ("binary", lambda raw: raw[:-5], "truncated: .* of .* bytes"),
        ("binary", lambda raw: b"hello", "not a PCD file"),
        ("binary", lambda raw: raw.replace(b"SIZE 4 4", b"SIZE 4 x"), "header is damaged"),
        ("binary", lambda raw: raw.replace(b"DATA binary", b"DATA zip"), "'zip': ascii, binary"),
        ("binary", lambda raw: raw.replace(b"FIELDS x y", b"FIELDS x q"), "no x, y and z"),
        ("ascii", lambda raw: raw[: len(raw) * 3 // 4], "truncated: |columns changed"),
        ("binary_compressed", lambda raw: raw[:-30], "truncated among its compressed data"),
        ("binary_compressed", lambda raw: raw.replace(b"POINTS 60", b"POINTS 59"), "damaged"),
    ],
)
def test_damage_is_named(tmp_path, encoding, change, why):
    path = writers.write_pcd(tmp_path / "x.pcd", XYZ, encoding=encoding)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Unreadable, match=why):
        header_of(path)
        read_cloud(path)
