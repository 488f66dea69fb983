"""Plain arrays to an encoder's input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_platform.errors import EncoderError
from ssl_platform.input_contract import InputContract

CT = InputContract("C D H W", ("ct",), ("HU",), (2.0, 1.0, 1.0), "mm", (8, 8, 8))


def _ramp(shape: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    """Physical position along the first axis, at cell centres."""
    axis = (np.arange(shape[0]) + 0.5) * spacing[0]
    return np.broadcast_to(axis[:, None, None], shape).astype(np.float32)


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (4.0, 2.0, 2.0)])
def test_resampling_keeps_positions(spacing: tuple[float, ...]) -> None:
    shape = tuple(round(32 * want / have) for want, have in zip((2.0, 1.0, 1.0), spacing, strict=True))
    view = CT.view_of(_ramp(shape, spacing), spacing=spacing, size=(32, 32, 32))
    expected = (torch.arange(32) + 0.5) * 2.0
    torch.testing.assert_close(view.x[0, 0, 2:-2, 16, 16], expected[2:-2], atol=1e-3, rtol=0)


def test_cut_and_padded_around_the_centre() -> None:
    x = np.zeros((12, 4, 8), np.float32)
    x[6, 2, 4] = 5.0
    view = CT.view_of(x, spacing=(2.0, 1.0, 1.0))
    assert view.x.shape == (1, 1, 8, 8, 8) and float(view.x[0, 0, 4, 4, 4]) == 5.0
    assert view.valid is not None and int(view.valid.sum()) == 8 * 4 * 8
    assert view.spacing is not None and view.spacing.tolist() == [[2.0, 1.0, 1.0]]


def test_nan_is_invalid_and_does_not_spread() -> None:
    x = np.ones((16, 16, 16), np.float32)
    x[:4] = np.nan
    view = CT.view_of(x, spacing=(1.0, 1.0, 1.0), size=(8, 16, 16))
    assert view.valid is not None and not view.valid[0, :2].any() and view.valid[0, 2:].all()
    assert bool(view.x.isfinite().all()) and bool((view.x[0, 0, 2:] == 1).all())


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(EncoderError, match=r"spacing=.*2.0, 1.0, 1.0"):
        CT.view_of(np.zeros((8, 8, 8)))
    with pytest.raises(EncoderError, match="3 positive numbers"):
        CT.view_of(np.zeros((8, 8, 8)), spacing=(1.0, 0.0, 1.0))
    with pytest.raises(EncoderError, match="takes 'C D H W'"):
        CT.view_of(np.zeros((8, 8)), spacing=(1.0, 1.0, 1.0))
    with pytest.raises(EncoderError, match="1 channel"):
        CT.batch_view(torch.zeros(2, 3, 8, 8, 8))
    two = InputContract("C H W", ("a", "b"))
    with pytest.raises(EncoderError, match="channel 'b' is missing"):
        two.view_of(np.zeros((1, 4, 4)), channels=("a",))
    assert two.view_of(np.stack([np.ones((4, 4)), np.zeros((4, 4))]), channels=("b", "a")).x[0, 0].sum() == 0


def test_departures_are_said() -> None:
    lines = CT.departures(channels=("mr",), spacing=(2.0, 1.0, 3.0))
    assert len(lines) == 2 and "mr" in lines[0] and "3.0" in lines[1]
    assert not CT.departures(channels=("ct",), spacing=(2.001, 1.0, 1.0))


def test_plain_data_round_trip() -> None:
    assert InputContract.from_dict({**CT.as_dict(), "unknown": 1}) == CT
