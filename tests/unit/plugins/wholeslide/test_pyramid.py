"""Any scale from any pyramid: the right level, the right pixels, no more of them than needed."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.pyramid import Grid, aligned, grid_of, read_box
from ssl_platform_wholeslide.slides import Header, Region, Slide

LEVELS, STEPS = ((4096, 8192), (1024, 2048), (256, 512)), (1.0, 4.0, 16.0)


class Plane(Slide):
    """A slide whose red grows with rows and green with columns of the finest level."""

    def __init__(self, shape, steps=(1.0, 4.0)):
        levels = tuple((int(shape[0] / s), int(shape[1] / s)) for s in steps)
        self.header, self.reads = Header("plane", levels, steps, (0.25, 0.25)), []

    def read(self, level, top, left, height, width):
        rows, columns = self.header.levels[level]
        assert 0 <= top <= top + height <= rows and 0 <= left <= left + width <= columns
        self.reads.append((level, height * width))
        step = self.header.downsamples[level]
        rgb = np.zeros((height, width, 3), np.uint8)
        rgb[..., 0] = ((np.arange(top, top + height) + 0.5) * step / 4)[:, None]
        rgb[..., 1] = (np.arange(left, left + width) + 0.5) * step / 4
        return Region(rgb)


@pytest.mark.parametrize(
    ("target", "level", "ratio"),
    [
        (0.25, 0, 1.0),
        (0.252, 0, 1.0),
        (0.5, 0, 2.0),
        (0.9, 0, 3.6),
        (1.0, 1, 1.0),
        (0.98, 1, 1.0),
        (2.0, 1, 2.0),
        (8, 2, 2.0),
    ],
)
def test_the_coarsest_level_that_is_fine_enough_is_read(target, level, ratio):
    grid = grid_of(LEVELS, STEPS, (0.25, 0.25), target)
    assert grid.level == level and grid.ratio == pytest.approx((ratio, ratio))
    assert grid.exact == (ratio == 1.0)
    cells = tuple(int(n * 0.25 / grid.mpp[0] + 1e-6) for n in LEVELS[0])
    assert grid.shape == cells
    assert grid.mpp[0] == pytest.approx(target, rel=0.03)


def test_an_asked_scale_is_never_quietly_another():
    """Half a micron from 0.2277 (the report of users of hs2p) is resampled, not read at 0.2277 or 0.4554."""
    grid = grid_of(LEVELS, (1.0, 2.0, 4.0), (0.2277, 0.2277), 0.5)
    assert grid.mpp == (0.5, 0.5) and grid.level == 1 and grid.ratio[0] == pytest.approx(0.5 / 0.4554)


def test_detail_is_not_invented():
    with pytest.raises(Unreadable, match=r"0.5 um a pixel, coarser than data.mpp=0.25: set data.mpp=0.5"):
        grid_of(LEVELS, STEPS, (0.5, 0.5), 0.25)


def test_unlike_scales_along_the_axes_become_square():
    grid = grid_of(LEVELS, STEPS, (0.2, 0.25), 1.0)
    assert grid.mpp == (1.0, 1.0) and grid.shape == (819, 2048) and grid.level == 1
    assert grid.ratio == pytest.approx((1.25, 1.0))


@pytest.mark.parametrize("target", [0.5, 0.7, 0.9, 1.0])
def test_cells_lie_where_they_should(target):
    slide = Plane((512, 640))
    grid = grid_of(slide.header.levels, slide.header.downsamples, (0.25, 0.25), target)
    start, size = (10, 20), (24, 30)
    found = read_box(slide, grid, start, size).rgb
    step = grid.mpp[0] / 0.25
    rows = (np.arange(10, 34) + 0.5) * step / 4
    columns = (np.arange(20, 50) + 0.5) * step / 4
    assert np.abs(found[..., 0] - rows[:, None]).max() <= 1.01 and np.abs(found[..., 1] - columns).max() <= 1.01


def test_only_the_pixels_of_the_window_are_read():
    slide = Plane((4096, 4096))
    grid = grid_of(slide.header.levels, slide.header.downsamples, (0.25, 0.25), 0.5)
    read_box(slide, grid, (100, 100), (64, 64))
    assert slide.reads == [(0, 128**2)]
    uneven = grid_of(slide.header.levels, slide.header.downsamples, (0.25, 0.25), 0.6)
    read_box(slide, uneven, (100, 100), (64, 64))
    assert slide.reads[-1][1] < (64 * 2.4 + 8) ** 2
    read_box(slide, Grid((1024, 1024), (1.0, 1.0), 1, (1.0, 1.0)), (100, 100), (64, 64))
    assert slide.reads[-1] == (1, 64**2)


def test_neighbouring_windows_agree_where_they_overlap():
    slide = Plane((512, 512))
    grid = grid_of(slide.header.levels, slide.header.downsamples, (0.25, 0.25), 0.6)
    a, b = (read_box(slide, grid, start, (40, 40)).rgb for start in ((20, 20), (33, 41)))
    assert np.abs(a[13:, 21:].astype(int) - b[:27, :19]).max() <= 1


def test_holes_are_white_and_marked_at_any_scale():
    slide = Plane((512, 512))
    inner = slide.read
    holes = lambda *box: Region(inner(*box).rgb, np.arange(box[3])[:, None] + np.zeros((1, box[4])) >= box[3] / 2)  # noqa: E731
    slide.read = holes
    for target in (0.25, 0.5):
        grid = grid_of(slide.header.levels, slide.header.downsamples, (0.25, 0.25), target)
        region = read_box(slide, grid, (20, 20), (32, 32))
        assert not region.present[:15].any() and region.present[17:].all()
        assert (region.rgb[:15] == 255).all() and (region.rgb[17:] < 255).all()


@pytest.mark.parametrize("ratio", [1.0, 2.0, 1.3])
@pytest.mark.parametrize(("size", "tile"), [(224, 240), (64, 256), (100, 64)])
def test_aligned_windows_cross_as_few_tiles_as_they_can(ratio, size, tile):
    starts = np.arange(0, 2000)
    moved = np.array([aligned(int(start), size, ratio, tile) for start in starts])
    margin = 0 if ratio == 1 or ratio == 2 else 1.3 + 1
    first, last = (moved * ratio - margin) // tile, ((moved + size) * ratio + margin - 1e-6) // tile
    fewest = -(-(size * ratio + 2 * margin) // tile)
    assert np.mean(last - first + 1 <= fewest) > 0.98
    assert np.abs(moved - starts).max() * ratio <= tile + ratio + margin
    # every start that is left is about as likely as any other
    _, counts = np.unique(moved[(moved >= 300) & (moved < 1500)], return_counts=True)
    assert counts.max() <= 2 * max(counts.min(), 1) + 1
