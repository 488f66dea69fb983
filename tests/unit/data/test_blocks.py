from __future__ import annotations

import io
import mmap
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data import blocks
from ssl_platform.data.blocks import BlockArray, BlockMask, block_shape, write_blocks


def stored(tmp_path: Path, data: np.ndarray, block: tuple[int, ...]) -> BlockArray:
    stream = io.BytesIO()
    stream.write(b"x" * 64)
    write_blocks(stream, data, block)
    assert len(stream.getvalue()) == 64 + data.nbytes, "nothing is padded"
    file = tmp_path / "a.bin"
    file.write_bytes(stream.getvalue())
    with file.open("rb") as opened:
        memory = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    return BlockArray(memory, 64, data.shape, data.dtype, block)


@pytest.mark.parametrize(
    ("shape", "block"), [((1, 9, 10, 7), (4, 4, 4)), ((3, 8, 8), (4, 8)), ((2, 11), (3,)), ((1, 5, 5, 5), (5, 5, 5))]
)
def test_any_box_comes_back(tmp_path: Path, shape: tuple[int, ...], block: tuple[int, ...]) -> None:
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    array = stored(tmp_path, data, block)
    assert np.array_equal(np.asarray(array), data)
    rng = np.random.default_rng(0)
    for _ in range(50):
        bounds = [sorted(rng.integers(0, n + 1, 2).tolist()) for n in shape[1:]]
        box = tuple((a, b) for a, b in bounds)
        expected = data[(slice(None), *(slice(a, b) for a, b in box))]
        assert np.array_equal(array.read(box), expected)
        assert np.array_equal(array[(slice(None), *(slice(a, b) for a, b in box))], expected)
    assert np.array_equal(array[0], data[0])
    assert np.array_equal(array[..., ::2], data[..., ::2])


def test_mask_has_no_channel_axis(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((1, 6, 7)) > 0.5
    array = BlockMask(stored(tmp_path, mask, (4, 4)))
    assert array.shape == (6, 7)
    assert np.array_equal(np.asarray(array), mask[0])
    assert np.array_equal(array.read(((1, 5), (2, 7))), mask[0, 1:5, 2:7])


def test_small_arrays_are_one_block_and_large_ones_cubes() -> None:
    assert block_shape((100, 100, 100), 2) == (100, 100, 100)
    assert block_shape((512, 512, 20), 2) == (32, 32, 20)
    assert block_shape((10_000_000,), 2) == (32768,)


def test_a_window_asks_for_little_more_than_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the disk for a 16^3 window of a 64^3 volume in blocks of 8: its blocks, not the volume."""
    data = np.zeros((1, 64, 64, 64), np.int16)
    array = stored(tmp_path, data, (8, 8, 8))
    asked: list[int] = []

    class Memory:
        def madvise(self, advice: int, start: int, length: int) -> None:
            asked.append(length)

    monkeypatch.setattr(array, "_memory", Memory())
    array.read(((13, 29), (13, 29), (13, 29)))
    assert len(asked) == 9
    assert sum(asked) < 27 * 8**3 * 2 + len(asked) * mmap.PAGESIZE
    assert blocks.SMALL_BYTES >= mmap.PAGESIZE
