"""The sample set: the class is in the structure, and nowhere else."""

import csv

import numpy as np
import openslide
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_platform_wholeslide.phantom import CLASSES, make_section, write_sample_set

CHANCE = 0.25


@pytest.fixture(scope="module")
def sections():
    rng = np.random.default_rng(5)
    return [(CLASSES[at % 4], make_section(CLASSES[at % 4], rng)) for at in range(64)]


def accuracy(features, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    return cross_val_score(model, np.array(features), labels, cv=folds).mean()


def tissue(rgb):
    return rgb[(rgb.max(2).astype(int) - rgb.min(2)) > 20].astype(float)


def test_class_is_neither_colour_nor_histogram_nor_outline(sections):
    labels = [label for label, _ in sections]
    pixels = [tissue(rgb) for _, rgb in sections]
    means = [[*p.mean(0), *p.std(0)] for p in pixels]
    assert accuracy(means, labels) < CHANCE + 0.17
    histograms = [
        np.concatenate([np.histogram(p[:, c], bins=12, range=(0, 255), density=True)[0] for c in range(3)])
        for p in pixels
    ]
    assert accuracy(histograms, labels) < CHANCE + 0.17
    outlines = [
        [len(p), *rgb.shape[:2], (rgb.min(2) > 225).mean()] for p, (_, rgb) in zip(pixels, sections, strict=True)
    ]
    assert accuracy(outlines, labels) < CHANCE + 0.17


def test_class_is_in_the_structure(sections):
    def strongest(rgb):
        """Wavelength at which the middle of the section repeats most."""
        middle = rgb[96:224, 96:224].astype(float).mean(2)
        power = np.abs(np.fft.fft2((middle - middle.mean()) * np.outer(np.hanning(128), np.hanning(128)))) ** 2
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
        power[frequency < 1 / 80] = 0
        return np.log(frequency.ravel()[power.argmax()])

    found = np.array([[strongest(rgb), strongest(rgb) ** 2] for _, rgb in sections])
    assert accuracy(found, [label for label, _ in sections]) > 0.85


def test_sections_look_like_sections(sections):
    for _, rgb in sections:
        assert rgb.dtype == np.uint8 and all(320 <= n <= 368 for n in rgb.shape[:2])
        share = len(tissue(rgb)) / rgb[..., 0].size
        assert 0.3 < share < 1
        red, green, blue = tissue(rgb).mean(0)
        assert green < red and green < blue  # purple and pink
        assert rgb.max() > 225  # glass


def test_the_set_on_disk(tmp_path):
    manifest = write_sample_set(tmp_path / "a", seed=3, items=12)
    again = write_sample_set(tmp_path / "b", seed=3, items=12)
    rows = list(csv.DictReader(manifest.open()))
    assert list(rows[0]) == ["path", "label", "group", "split"] and len(rows) == 12
    assert sorted({row["label"] for row in rows}) == sorted(CLASSES)
    scales = set()
    for row in rows:
        assert (tmp_path / "a" / row["path"]).read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()
        slide = openslide.OpenSlide(tmp_path / "a" / row["path"])
        assert slide.level_count >= 2
        scales.add(float(slide.properties["openslide.mpp-x"]))
    assert len(scales) >= 2
    for name in ("label", "split"):
        assert len({(row["group"], row[name]) for row in rows}) == len({row["group"] for row in rows})
    assert manifest.read_text() == again.read_text()


def test_it_is_written_once_and_finished_when_it_was_cut_short(tmp_path):
    manifest = write_sample_set(tmp_path, seed=0, items=3)
    slide = tmp_path / next(csv.DictReader(manifest.open()))["path"]
    before = slide.stat().st_mtime_ns
    write_sample_set(tmp_path, seed=0, items=3)
    assert slide.stat().st_mtime_ns == before
    (tmp_path / "sample.json").unlink()
    write_sample_set(tmp_path, seed=0, items=3)
    assert slide.stat().st_mtime_ns != before
    assert not list(tmp_path.rglob("*.tmp"))
