"""The sample set: the class is in the structure, and nowhere else."""

import csv
import json

import numpy as np
import pytest
import rasterio
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_platform_multispectral.fields import BANDS, CLASSES, make_field, stored_values, write_sample_set

COUNT = 120
CHANCE = 1 / len(CLASSES)


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng
    return [make_field(CLASSES[at % 3], rng([1, at]), rng([2, at]), at % 2) for at in range(COUNT)]


def accuracy(features, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    return cross_val_score(model, np.array(features), labels, cv=folds).mean()


def values(field):
    return field.reflectance[:, np.isfinite(field.reflectance[0])]


def neighbours(field):
    """Correlation of cells with others at some distances, over all directions: how values lie, whatever they are."""
    x = np.nan_to_num(field.reflectance[6] - np.nanmean(field.reflectance[6]))
    known = np.isfinite(field.reflectance[6]).astype(float)
    power, mass = (np.fft.irfft2(np.abs(np.fft.rfft2(a, (192, 192))) ** 2) for a in (x, known))
    across = np.hypot(*np.meshgrid(np.fft.fftfreq(192) * 192, np.fft.fftfreq(192) * 192))
    near = [(across >= lag - 1.5) & (across < lag + 1.5) for lag in range(0, 34, 3)]
    seen = np.array([power[ring].sum() / mass[ring].sum() for ring in near])
    return seen / seen[0]


def test_the_class_is_not_in_the_colours(fields):
    labels = [field.label for field in fields]
    means = [np.concatenate([v.mean(1), v.std(1)]) for v in map(values, fields)]
    assert accuracy(means, labels) < CHANCE + 0.13
    histograms = [
        np.concatenate([np.histogram(b, 12, (0, 0.6), density=True)[0] for b in values(f)[::3]]) for f in fields
    ]
    assert accuracy(histograms, labels) < CHANCE + 0.13


def test_the_class_is_in_the_structure(fields):
    assert accuracy([neighbours(field) for field in fields], [field.label for field in fields]) > 0.9


def test_covers_have_the_same_shares_in_every_class(fields):
    for label in CLASSES:
        shares = np.mean(
            [np.bincount(f.cover.ravel(), minlength=3) / f.cover.size for f in fields if f.label == label], 0
        )
        assert np.abs(shares - 1 / 3).max() < 0.06


def test_reflectance_is_stored_as_its_baseline_says():
    x = np.array([[[0.1, np.nan, 0.0]]])
    assert stored_values(x, "03.01").tolist() == [[[1000, 0, 1]]]
    assert stored_values(x, "05.10").tolist() == [[[2000, 0, 1000]]]


def test_the_set_on_disk(tmp_path):
    manifest = write_sample_set(tmp_path / "a", seed=3, places=6)
    again = write_sample_set(tmp_path / "b", seed=3, places=6)
    rows = list(csv.DictReader(manifest.open()))
    assert list(rows[0]) == ["path", "label", "mask", "group", "split"] and len(rows) == 12
    assert manifest.read_text() == again.read_text()
    for row in rows:
        assert (tmp_path / "a" / row["path"]).read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()
        with rasterio.open(tmp_path / "a" / row["path"]) as scene, rasterio.open(tmp_path / "a" / row["mask"]) as mask:
            assert scene.descriptions == BANDS and scene.dtypes[0] == "uint16"
            assert mask.transform == scene.transform and mask.crs == scene.crs
            assert scene.tags()["PROCESSING_BASELINE"] in ("03.01", "05.10")
    # A place has one label and lies in one split.
    for name in ("label", "split"):
        assert len({(row["group"], row[name]) for row in rows}) == len({row["group"] for row in rows})
    assert json.loads((tmp_path / "a/dataset.json").read_text())["labels"]["1"] == "crop"


def test_the_full_set_has_all_classes_in_all_parts():
    from ssl_platform_multispectral.fields import _split

    parts = {}
    for at in range(90):
        parts.setdefault(_split(at, 90), []).append(CLASSES[at % 3])
    assert {part: len(labels) for part, labels in parts.items()} == {"train": 45, "val": 18, "test": 27}
    assert all(sorted(set(labels)) == sorted(CLASSES) for labels in parts.values())


def test_it_is_written_once(tmp_path):
    manifest = write_sample_set(tmp_path, seed=0, places=3)
    scene = tmp_path / next(csv.DictReader(manifest.open()))["path"]
    before = scene.stat().st_mtime_ns
    write_sample_set(tmp_path, seed=0, places=3)
    assert scene.stat().st_mtime_ns == before
    write_sample_set(tmp_path, seed=1, places=3)
    assert scene.stat().st_mtime_ns != before
