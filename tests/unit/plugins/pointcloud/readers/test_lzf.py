"""LZF, against streams written by hand and what is compressed here."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.readers.lzf import compress, decompress


def test_streams_written_by_hand():
    assert decompress(bytes([2]) + b"abc", 3) == b"abc"
    # "abc", then a copy of three from three back, then the same with a long length: 9 + 3 more.
    assert decompress(bytes([2]) + b"abc" + bytes([1 << 5, 2]), 6) == b"abcabc"
    assert decompress(bytes([2]) + b"abc" + bytes([7 << 5, 3, 2]), 15) == b"abc" * 5
    # A copy from one back repeats a single byte.
    assert decompress(bytes([0]) + b"x" + bytes([4 << 5, 0]), 7) == b"x" * 7


@pytest.mark.parametrize("size", [0, 1, 5, 1000, 30_000])
def test_what_is_compressed_is_restored(size):
    rng = np.random.default_rng(size)
    for plain in (rng.bytes(size), bytes(size), (b"point cloud " * (size // 12 + 1))[:size]):
        assert decompress(compress(plain), size) == plain
    assert size < 1000 or len(compress(bytes(size))) < size / 20


@pytest.mark.parametrize(
    ("data", "size"), [(bytes([2]) + b"ab", 3), (bytes([1 << 5, 9]), 3), (bytes([2]) + b"abc", 4), (bytes([1 << 5]), 3)]
)
def test_damage_is_named(data, size):
    with pytest.raises(Unreadable, match="compressed data"):
        decompress(data, size)
