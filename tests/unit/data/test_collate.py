from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_platform.data.collate import collate, to_device
from ssl_platform.errors import DataError
from ssl_platform.types import Layout, Part, Sample

LAYOUT = Layout(axes="C H W", fill=-1.0, meta=("time",))
RAGGED = Layout(axes="C H W", fill=-1.0, ragged_channels=True)


def sample(
    i: int, channels: tuple[str, ...] = ("a",), dtype: type = np.int16, valid: bool = False, label: object = None
) -> Sample:
    data = np.full((len(channels), 2, 3), i, dtype)
    data[:] += np.arange(len(channels), dtype=dtype)[:, None, None] * 10
    mask = np.array([[True, False, True]] * 2) if valid else None
    part = Part(data, mask, channels, (0.5, 2.0), (float(i), 0.0))
    return Sample(i, ({"main": part},), group=i + 100, meta={"time": float(i)}, label=label, position=i + 7)


def test_stacks_in_storage_dtype() -> None:
    batch = collate([sample(1), sample(2)], LAYOUT)
    part = batch.reads[0]["main"]
    assert part.data.dtype == torch.int16 and part.data.shape == (2, 1, 2, 3)
    assert part.data[:, 0, 0, 0].tolist() == [1, 2] and part.valid is None and part.channel_valid is None
    assert part.spacing.tolist() == [[0.5, 2.0]] * 2 and part.origin.tolist() == [[1.0, 0.0], [2.0, 0.0]]
    assert part.channels == ("a",) and len(batch) == 2 and batch.label is None
    assert batch.index.tolist() == [1, 2] and batch.group.tolist() == [101, 102] and batch.position.tolist() == [8, 9]
    assert batch.meta["time"].tolist() == [1.0, 2.0]


def test_unlike_storage_types_meet_in_one_that_holds_both() -> None:
    assert collate([sample(1), sample(2, dtype=np.float32)], LAYOUT).reads[0]["main"].data.dtype == torch.float32
    assert collate([sample(1, dtype=np.uint16)], LAYOUT).reads[0]["main"].data.dtype == torch.int32
    assert collate([sample(1, dtype=np.dtype(">i2"))], LAYOUT).reads[0]["main"].data.dtype == torch.int16  # type: ignore[arg-type]


def test_validity_of_some_is_validity_of_all() -> None:
    valid = collate([sample(1), sample(2, valid=True)], LAYOUT).reads[0]["main"].valid
    assert valid is not None and valid[0].all() and valid[1].tolist() == [[True, False, True]] * 2


def test_ragged_channels_are_placed_by_name() -> None:
    samples = [sample(1, ("b",)), sample(2, ("c", "a"))]
    part = collate(samples, RAGGED, ("a", "b", "c", "d")).reads[0]["main"]
    assert part.channels == ("a", "b", "c", "d") and part.channel_valid is not None
    assert part.channel_valid.tolist() == [[False, True, False, False], [True, False, True, False]]
    assert part.data[:, :, 0, 0].tolist() == [[-1, 1, -1, -1], [12, -1, 2, -1]]
    assert collate(samples, RAGGED).reads[0]["main"].channels == ("c", "a", "b")
    with pytest.raises(DataError, match="no row of the catalog names"):
        collate(samples, RAGGED, ("a", "b"))


def test_ragged_points_pad_their_last_axis() -> None:
    layout = Layout(axes="N C", ragged_channels=True)
    parts = [Part(np.ones((4, 3), np.float32), None, ("x", "y", "z")), Part(np.ones((4, 1), np.float32), None, ("i",))]
    samples = [Sample(i, ({"main": part},)) for i, part in enumerate(parts)]
    part = collate(samples, layout, ("x", "y", "z", "i")).reads[0]["main"]
    assert part.data.shape == (2, 4, 4) and part.data.sum().item() == 16
    assert part.spacing.tolist() == [[1.0] * 3] * 2


def test_labels_only_where_all_carry_one() -> None:
    assert collate([sample(1, label=np.int64(2)), sample(2, label=np.int64(-1))], LAYOUT).label.tolist() == [2, -1]  # type: ignore[union-attr]
    multi = collate([sample(1, label=np.array([1.0, np.nan], np.float32))], LAYOUT).label
    assert multi is not None and multi.shape == (1, 2) and multi.dtype == torch.float32
    assert collate([sample(1, label=np.int64(2)), sample(2)], LAYOUT).label is None


def test_what_does_not_belong_together_is_said() -> None:
    with pytest.raises(DataError, match="unlike channels in 'main'"):
        collate([sample(1), sample(2, ("b",))], LAYOUT)
    other = sample(2)
    other.reads = ({"main": other.reads[0]["main"], "sar": other.reads[0]["main"]},)
    with pytest.raises(DataError, match="unlike parts"):
        collate([sample(1), other], LAYOUT)
    large = sample(3)
    large.reads[0]["main"].data = np.zeros((1, 4, 4), np.int16)
    with pytest.raises(DataError, match="unlike shapes"):
        collate([sample(1), large], LAYOUT)


def test_moving_keeps_everything() -> None:
    batch = collate([sample(1, valid=True, label=np.int64(1))], LAYOUT)
    moved = to_device(batch, "cpu")
    assert torch.equal(moved.reads[0]["main"].data, batch.reads[0]["main"].data)
    assert moved.reads[0]["main"].channels == ("a",) and moved.label is not None and moved.meta.keys() == {"time"}
