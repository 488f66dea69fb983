"""Compressed blocks give back what was written, box by box."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.entry import open_entry, write_squeezed_entry
from ssl_platform.data.entry_header import check
from ssl_platform.data.prepared import Prepared
from ssl_platform.data.squeezed import SqueezedBlocks, squeezed_block, write_squeezed
from ssl_platform.errors import Unreadable


def written(path: Path, data: np.ndarray, valid: np.ndarray | None) -> Prepared:
    def read(box):
        cut = tuple(slice(a, b) for a, b in box)
        return data[(slice(None), *cut)], None if valid is None else valid[cut]

    write_squeezed_entry(path, Prepared(data[:, :0]), data.shape, data.dtype, read, "source")
    return open_entry(path)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("masked", [False, True])
def test_every_box_is_what_was_written(tmp_path, dtype, masked):
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(3, 301, 517)) * 50).astype(dtype)
    valid = np.ones((301, 517), bool)
    valid[290:, 500:] = False
    item = written(tmp_path / "x.item", data, valid if masked else None)
    assert check(tmp_path / "x.item") is None
    assert np.array_equal(np.asarray(item.data), data) and item.data.dtype == data.dtype
    assert (item.valid is not None) == masked
    for _ in range(20):
        (a, b), (c, d) = (sorted(rng.integers(0, n, 2)) for n in (302, 518))
        assert np.array_equal(item.data.read(((a, b), (c, d))), data[:, a:b, c:d])
        if item.valid is not None:
            assert np.array_equal(item.valid.read(((a, b), (c, d))), valid[a:b, c:d])


def test_flat_pictures_take_nearly_nothing(tmp_path):
    data = np.full((3, 2048, 2048), 243, np.uint8)
    written(tmp_path / "x.item", data, None)
    assert (tmp_path / "x.item").stat().st_size < data.size / 500


def test_a_damaged_block_is_named_and_a_damaged_table_refused(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (1, 64, 64), np.uint8)
    path = tmp_path / "raw"
    with path.open("wb") as stream:
        write_squeezed(stream, data.shape, (32, 32), lambda box: (data[:, slice(*box[0]), slice(*box[1])], None))
    content = bytearray(path.read_bytes())
    content[10:60] = bytes(50)
    path.write_bytes(content)
    with path.open("rb") as stream:
        memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    blocks = SqueezedBlocks(memory, 0, data.shape, data.dtype, (32, 32), len(content))
    with pytest.raises(Unreadable, match="damaged: a block does not match its checksum"):
        blocks.block_at(0, (32, 32))
    assert np.array_equal(blocks.block_at(3, (32, 32))[0], data[:, 32:, 32:])
    with pytest.raises(Unreadable, match="table of blocks"):
        SqueezedBlocks(memory, 0, data.shape, data.dtype, (16, 16), len(content))


def test_blocks_hold_about_256_kb():
    for shape, itemsize in (((20000, 30000), 3), ((400, 500, 500), 2), ((10**7,), 4)):
        block = squeezed_block(shape, itemsize)
        assert 2**16 <= np.prod(block) * itemsize <= 2**18
    assert squeezed_block((5, 7), 3) == (5, 7)
