"""Colours find their cells in whatever picture a domain makes of them."""

from __future__ import annotations

import numpy as np

from ssl_platform.report.overlays import window_of
from ssl_platform.report.paint import PALETTE, border, classes_on, heat_on, showing
from ssl_platform.report.render import render_default
from ssl_platform.types import Channel, Layout

VOLUME = Layout("C D H W", (Channel("v"),))
RNG = np.random.default_rng(0)


def turned(x: np.ndarray) -> np.ndarray:
    """A plane upside down, twice as large, as a domain may show it."""
    return np.kron(render_default(x, Layout("C H W", (Channel("v"),)))[::-1], np.ones((2, 2), np.uint8))


def test_cells_are_found_in_a_picture_that_turns_and_scales() -> None:
    x = RNG.normal(size=(1, 12, 16)).astype(np.float32)
    cells = np.zeros((12, 16), bool)
    cells[2:5, 3:9] = True
    assert np.array_equal(showing(x, cells, turned), np.kron(cells[::-1], np.ones((2, 2), bool)))


def test_cells_are_found_where_every_band_is_stretched_by_itself() -> None:
    x = RNG.gamma(3.0, size=(3, 24, 24)).astype(np.float32) * np.array([0.02, 1.0, 3000.0], np.float32)[:, None, None]
    cells = np.arange(24 * 24).reshape(24, 24) % 48 < 24

    def stretched(values: np.ndarray) -> np.ndarray:
        low, high = np.percentile(values, (2, 98), axis=(1, 2), keepdims=True)
        return ((values - low) / (high - low) * 255).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)

    assert np.array_equal(showing(x, cells, stretched), cells)


def test_what_is_stretched_anew_beside_the_cells_is_none_of_them() -> None:
    """Without the ball the noise around it fills the whole range of grey."""
    ball = ((np.indices((16, 16, 16)) - 8) ** 2).sum(axis=0) < 16
    x = (0.3 * RNG.normal(size=ball.shape) + 2 * ball).astype(np.float32)[None]
    box = np.pad(np.ones((8, 8, 8), bool), 4)
    for cells in (ball, box):
        slices = render_default(255.0 * cells[None], VOLUME) > 128
        assert np.array_equal(showing(x, cells, lambda values: render_default(values, VOLUME)), slices)


def test_a_border_is_closed_at_the_edge_of_the_picture_where_asked() -> None:
    whole = np.ones((5, 7), bool)
    assert not border(whole).any(), "nothing lies beside it"
    frame = border(whole, closed=True)
    assert frame.sum() == 2 * (5 + 7) - 4 and not frame[1:-1, 1:-1].any()


def test_a_class_is_filled_and_bordered_in_its_colour() -> None:
    x = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))[None]
    labels = np.zeros((16, 16), int)
    labels[4:10, 4:10] = 2
    layout = Layout("C H W", (Channel("v"),))
    picture = classes_on(x, labels, (1, 2), lambda values: render_default(values, layout)).astype(float)
    plain = render_default(x, layout).astype(float)
    outside = labels == 0
    assert np.array_equal(picture[outside], np.repeat(plain[outside][:, None], 3, axis=1))
    edge = border(labels == 2)
    assert edge.sum() == 20
    assert np.abs(picture[edge] - PALETTE[1]).max() < 50 and np.abs(picture[6, 6] - PALETTE[1]).max() > 50


def test_attention_is_dark_where_it_is_low() -> None:
    x = RNG.normal(size=(1, 16, 16)).astype(np.float32)
    heat = np.zeros((16, 16))
    heat[8:] = np.linspace(1, 2, 128).reshape(8, 16)
    layout = Layout("C H W", (Channel("v"),))
    plain = render_default(x, layout)
    picture = heat_on(x, heat, lambda values: render_default(values, layout))
    assert picture[:8].mean() < 0.3 * plain[:8].mean() and picture[13:].mean() > 0.8 * plain[13:].mean()


def test_windows_are_cut_where_most_is_marked_and_show_most_of_the_item() -> None:
    wanted = np.zeros((40, 60, 20), bool)
    wanted[25:27, 50:55, 9] = True
    box = window_of(wanted.shape, wanted)
    assert all(s >= 0 and s + n <= whole for s, n, whole in zip(box.start, box.size, wanted.shape, strict=True))
    assert box.start[0] + box.size[0] // 2 in (25, 26)
    assert box.start[2] + box.size[2] // 2 == 9
    assert box.size[1] >= 0.6 * 60, "what lies at the rim does not cost the rest of the picture"
    assert window_of(wanted.shape, wanted, frames=True).size[0] == 40
