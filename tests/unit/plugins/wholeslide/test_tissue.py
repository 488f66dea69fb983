"""Tissue on overviews, and places for windows."""

import numpy as np
import pytest
from PIL import Image

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide import overview, tissue
from ssl_platform_wholeslide.slides import Header, Region, Slide, open_slide
from ssl_platform_wholeslide.writing import write_tiff


class Picture(Slide):
    def __init__(self, rgb, steps=(1.0,)):
        levels = tuple((int(rgb.shape[0] / s), int(rgb.shape[1] / s)) for s in steps)
        self.rgb, self.header, self.pixels = rgb, Header("picture", levels, steps), 0

    def read(self, level, top, left, height, width):
        self.pixels += height * width
        step = int(self.header.downsamples[level])
        return Region(self.rgb[::step, ::step][top : top + height, left : left + width])


def test_the_overview_comes_from_a_low_level(slide_file, picture):
    slide = open_slide(slide_file)
    colour = overview.look(slide)
    assert colour.shape == (128, 160) and colour.dtype == np.uint8
    mask = tissue.mask_of(colour, None)
    expected = np.zeros((128, 160), bool)
    expected[32:96, 40:120] = True
    assert (mask == expected).mean() > 0.97
    counted = Picture(picture, (1.0, 2.0, 4.0))
    overview.look(counted)
    assert counted.pixels == 128 * 160


def test_strips_and_one_piece_give_the_same_overview(picture, monkeypatch):
    whole = overview.look(Picture(picture))
    monkeypatch.setattr(overview, "_STRIP_PIXELS", 20_000)
    assert np.abs(overview.look(Picture(picture)).astype(int) - whole).max() <= 1


def test_a_large_flat_slide_is_looked_at_here_and_there(picture, monkeypatch):
    monkeypatch.setattr(overview, "_MOST_PIXELS", 100_000)
    monkeypatch.setattr(overview, "_PROBES", 80)
    slide = Picture(picture)
    mask = tissue.mask_of(overview.look(slide), None)
    assert slide.pixels <= 80 * 32 * 32 < picture.shape[0] * picture.shape[1] / 3
    assert mask[len(mask) // 2, mask.shape[1] // 2] and not mask[0].any() and not mask[:, 0].any()


@pytest.mark.parametrize("lamp", [(250, 250, 250), (225, 235, 245), (245, 230, 228)])
@pytest.mark.parametrize("stain", [0.25, 1.0])
def test_pale_and_dark_tissue_on_any_glass(picture, lamp, stain):
    """Weakly stained slides lose nothing, tinted glass is no tissue."""
    light = (picture / 240.0) ** stain * np.array(lamp)
    mask = tissue.mask_of(overview.look(Picture(light.round().astype(np.uint8))), None)
    assert mask[36:92, 44:116].mean() > 0.97 and mask[:28].mean() < 0.02


def test_glass_alone_has_no_tissue_and_tissue_alone_is_all_of_it(picture):
    rng = np.random.default_rng(0)
    glass = (240 + rng.normal(0, 2, (256, 256, 3))).clip(0, 255).astype(np.uint8)
    assert not tissue.mask_of(overview.look(Picture(glass)), None).any()
    only = picture[140:370, 170:470]
    assert tissue.mask_of(overview.look(Picture(only)), None).mean() > 0.9


def test_one_colour_has_no_threshold_between():
    assert tissue.otsu(np.full((4, 4), 7, np.uint8)) == 7.0
    assert 10 < tissue.otsu(np.array([10] * 50 + [90] * 50, np.uint8)) < 90


def test_zeros_are_refused():
    with pytest.raises(Unreadable, match="every pixel of its overview is zero"):
        overview.look(Picture(np.zeros((128, 128, 3), np.uint8)))


def test_an_overview_is_kept_under_the_files_state(tmp_path, picture):
    path = write_tiff(tmp_path / "x.tif", picture, 0.5)
    entry = overview.entry_of(tmp_path / "cache", path, path)
    assert overview.kept(entry) is None
    overview.keep(entry, np.ones((3, 4), np.uint8))
    assert np.array_equal(overview.kept(entry), np.ones((3, 4), np.uint8))
    entry.write_bytes(entry.read_bytes()[:40])
    assert overview.kept(entry) is None
    write_tiff(path, picture[::-1], 0.5)
    assert overview.entry_of(tmp_path / "cache", path, path) != entry


# ------------------------------------------------------------------------------------------------------------- places
def test_windows_hold_enough_tissue_wherever_they_may_lie():
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    found = tissue.places(mask, (600, 800), (80, 80), 0.75)
    assert found.cell == (10.0, 10.0)
    for uniform in np.linspace(0, 1, 50, endpoint=False):
        row, column = found.at(uniform)
        assert mask[row : row + 8, column : column + 8].mean() >= 0.75
    allowed = [(y, x) for y in range(53) for x in range(73) if mask[y : y + 8, x : x + 8].mean() >= 0.75]
    drawn = {found.at((i + 0.5) / found.count) for i in range(found.count)}
    assert drawn == set(allowed) and found.count == len(allowed)
    corners = np.array([(200, 300), (0, 0), (595, 795), (320, 520)])
    assert found.holds(corners).tolist() == [True, False, False, True]


def test_a_small_biopsy_gives_its_fullest_places():
    mask = np.zeros((50, 50), bool)
    mask[10:12, 10:12] = True
    found = tissue.places(mask, (500, 500), (100, 100), 0.9)
    rows = {found.at(u) for u in np.linspace(0, 1, 200, endpoint=False)}
    assert all(y <= 10 <= y + 8 and x <= 10 <= x + 8 for y, x in rows)
    with pytest.raises(Unreadable, match="no tissue found"):
        tissue.places(np.zeros((5, 5), bool), (50, 50), (10, 10), 0.5)


def test_a_window_larger_than_the_slide_has_one_place():
    found = tissue.places(np.ones((4, 5), bool), (40, 50), (64, 64), 0.7)
    assert found.count == 1 and found.at(0.9) == (0, 0)


# --------------------------------------------------------------------------------------------------------- own masks
def test_own_masks_of_any_picture_format(tmp_path):
    mask = np.zeros((100, 125), np.uint8)
    mask[10:20, 30:50] = 1
    for name in ("a.png", "b.tif"):
        Image.fromarray(mask).save(tmp_path / name)
        assert np.array_equal(tissue.read_mask(tmp_path / name, (400, 500)), mask > 0)
    large = Image.fromarray(np.repeat(np.repeat(mask, 40, 0), 40, 1))
    large.save(tmp_path / "c.png")
    assert max(tissue.read_mask(tmp_path / "c.png", (400, 500)).shape) <= 2048


def test_a_mask_of_another_slide_is_refused(tmp_path):
    Image.fromarray(np.ones((100, 100), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(Unreadable, match="100x100, another aspect than the slide's 400x500"):
        tissue.read_mask(tmp_path / "a.png", (400, 500))
    (tmp_path / "b.png").write_text("no")
    with pytest.raises(Unreadable, match=r"tissue_mask b.png cannot be read"):
        tissue.read_mask(tmp_path / "b.png", (400, 500))
