from __future__ import annotations

import numpy as np
import pytest

from ssl_platform.data.prepared import Prepared
from ssl_platform.data.window import (
    grid_windows,
    place_center,
    place_foreground,
    place_overlapping,
    place_uniform,
    read_window,
)
from ssl_platform.errors import DataError
from ssl_platform.types import Layout, Row, Window

LAYOUT = Layout(axes="C H W", unit="mm", fill=-7.0)


def row(*shape: int) -> Row:
    return Row("a", "/a", shape, spacing=(0.5,) * len(shape), channels=("c0",))


def numbers(n: int, count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).random((n, count))


def test_uniform_starts_are_equally_likely_and_reach_both_ends() -> None:
    starts = [place_uniform(row(12, 8), (4, 8), u).start for u in numbers(9000)]
    first = np.bincount([s[0] for s in starts], minlength=9)
    assert len(first) == 9 and first.min() > 850 and first.max() < 1150
    assert {s[1] for s in starts} == {0}


def test_smaller_items_lie_whole_in_the_window() -> None:
    for u in numbers(200):
        (start,) = place_uniform(row(5), (8,), u).start
        assert -3 <= start <= 0
    assert place_center(row(5, 9), (8, 3)) == Window((-2, 3), (8, 3))


def test_foreground_windows_hold_a_foreground_cell() -> None:
    cells = np.array([[0, 0], [19, 19], [10, 3]], np.int32)
    for u in numbers(300):
        window = place_foreground(cells, row(20, 20), (6, 6), u, 1.0)
        inside = [all(s <= c < s + 6 for s, c in zip(window.start, cell, strict=True)) for cell in cells]
        assert any(inside)
        assert all(0 <= s <= 14 for s in window.start)


def test_foreground_probability() -> None:
    cells = np.array([[0, 0]], np.int32)
    hits = [place_foreground(cells, row(100, 100), (4, 4), u, 0.3).start == (0, 0) for u in numbers(4000)]
    assert np.mean(hits) == pytest.approx(0.3, abs=0.03)
    u = numbers(1)[0]
    assert place_foreground(None, row(9, 9), (4, 4), u, 1.0) == place_uniform(row(9, 9), (4, 4), u)


def test_overlapping_windows_share_at_least_half_of_each_axis() -> None:
    first = place_uniform(row(30, 5), (8, 8), numbers(1)[0])
    seen = set()
    for u in numbers(500):
        other = place_overlapping(row(30, 5), first, u)
        seen.add(other.start)
        assert all(abs(a - b) <= 4 for a, b in zip(first.start, other.start, strict=True))
        assert 0 <= other.start[0] <= 22 and -3 <= other.start[1] <= 0
    assert len(seen) > 10


@pytest.mark.parametrize("shape", [(16, 16), (17, 30), (5, 16), (33, 7)])
def test_grid_windows_cover_every_cell(shape: tuple[int, ...]) -> None:
    windows = grid_windows(row(*shape), (8, 8))
    seen = np.zeros(shape, dtype=bool)
    for window in windows:
        seen[tuple(slice(max(s, 0), s + 8) for s in window.start)] = True
    assert seen.all()
    assert len(windows) == int(np.prod([-(-n // 8) for n in shape]))


def test_read_marks_what_lies_outside_invalid() -> None:
    data = np.arange(20, dtype=np.int16).reshape(1, 4, 5)
    part = read_window(Prepared(data, channels=("c0",)), row(4, 5), Window((-1, 3), (3, 4)), LAYOUT)
    assert part.data.dtype == np.int16 and part.spacing == (0.5, 0.5) and part.origin == (-0.5, 1.5)
    assert part.valid is not None
    assert part.valid.tolist() == [[False] * 4, [True, True, False, False], [True, True, False, False]]
    assert part.data[0, 1:, :2].tolist() == [[3, 4], [8, 9]]
    assert set(part.data[0][~part.valid].tolist()) == {-7}


def test_read_copies_and_carries_stored_validity() -> None:
    data = np.zeros((1, 4, 4), np.float32)
    valid = np.ones((4, 4), dtype=bool)
    valid[0, 0] = False
    item = Prepared(data, valid=valid, channels=("c0",))
    part = read_window(item, row(4, 4), Window((0, 0), (2, 2)), LAYOUT)
    assert part.valid is not None and part.valid.tolist() == [[False, True], [True, True]]
    part.data[:] = 9
    assert data.max() == 0, "a window is a copy"
    assert read_window(item, row(4, 4), Window((2, 2), (2, 2)), LAYOUT).valid is None
    outside = read_window(item, row(4, 4), Window((9, 9), (2, 2)), LAYOUT)
    assert outside.valid is not None and not outside.valid.any() and (outside.data == -7).all()


def test_window_of_another_rank_is_one_line() -> None:
    with pytest.raises(DataError, match=r"3 axes.*data\.window"):
        place_uniform(row(4, 4), (2, 2, 2), numbers(1)[0])
