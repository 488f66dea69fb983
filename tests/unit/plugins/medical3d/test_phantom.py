"""The sample set: the class is in the structure, and nowhere else."""

import csv

import nibabel
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_platform_medical3d.phantom import CLASSES, make_phantom, normal_quantiles, write_sample_set


@pytest.fixture(scope="module")
def phantoms():
    rng = np.random.default_rng(5)
    return [make_phantom(CLASSES[at % 4], rng) for at in range(128)]


def accuracy(features, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    return cross_val_score(model, np.array(features), labels, cv=folds).mean()


def organ_values(phantom):
    return phantom.hu[phantom.mask == 1].astype(np.float64)


def simple(values):
    return [values.mean(), values.std(), *np.percentile(values, (1, 5, 25, 50, 75, 95, 99))]


def slopes(phantom):
    """Squared slope of organ values across the layers, whichever way they face: how they lie, whatever they are."""
    inside = phantom.mask == 1
    values = np.where(inside, phantom.hu - organ_values(phantom).mean(), 0.0) / organ_values(phantom).std()
    found = []
    for lag in (2, 3, 4, 6):
        squared = 0.0
        for axis, mm in enumerate(phantom.spacing):
            a, b = (np.take(v, np.arange(lag, v.shape[axis]), axis) for v in (values, inside))
            c, d = (np.take(v, np.arange(v.shape[axis] - lag), axis) for v in (values, inside))
            squared += np.square(a - c)[b & d].mean() / (lag * mm) ** 2
        found.append(np.log(squared))
    return found


def test_class_is_neither_intensity_nor_place_nor_shape(phantoms):
    labels = [phantom.label for phantom in phantoms]
    chance = 0.25
    assert accuracy([simple(phantom.hu) for phantom in phantoms], labels) < chance + 0.17
    assert accuracy([simple(organ_values(phantom)) for phantom in phantoms], labels) < chance + 0.17
    histograms = [np.histogram(p.hu[p.hu > -300], bins=24, range=(-200, 400), density=True)[0] for p in phantoms]
    assert accuracy(histograms, labels) < chance + 0.17
    places = [
        [*np.argwhere(phantom.mask == 1).mean(0), *np.argwhere(phantom.mask == 1).std(0), (phantom.mask == 1).sum()]
        for phantom in phantoms
    ]
    assert accuracy(places, labels) < chance + 0.17


def test_class_is_in_the_structure(phantoms):
    assert accuracy([slopes(phantom) for phantom in phantoms], [phantom.label for phantom in phantoms]) > 0.85


def test_anatomy_is_plausible(phantoms):
    assert 0.2 < np.mean([(phantom.mask == 3).any() for phantom in phantoms]) < 0.9
    for phantom in phantoms:
        assert all(56 <= n <= 72 for n in phantom.hu.shape)
        assert phantom.hu.dtype == np.int16 and phantom.hu.min() >= -1024
        assert 0.03 < (phantom.mask == 1).mean() < 0.4
        assert phantom.hu.min() < -900
        assert phantom.spacing[0] > 1.3 * phantom.spacing[1]


def test_every_texture_gets_the_same_histogram():
    values = np.random.default_rng(0).gamma(1.0, 1.0, 999)
    out = normal_quantiles(values)
    assert np.array_equal(np.argsort(out), np.argsort(values))
    assert np.allclose(np.sort(out), np.sort(normal_quantiles(np.arange(999.0))))
    assert abs(out.mean()) < 1e-6 and out.std() == pytest.approx(1.0, abs=0.01)


def test_the_set_on_disk(tmp_path):
    manifest = write_sample_set(tmp_path / "a", seed=3, items=16)
    again = write_sample_set(tmp_path / "b", seed=3, items=16)
    rows = list(csv.DictReader(manifest.open()))
    assert list(rows[0]) == ["path", "label", "mask", "group", "split", "modality"]
    assert sorted({row["label"] for row in rows}) == sorted(CLASSES) and len(rows) == 16
    for row in rows:
        assert (tmp_path / "a" / row["path"]).read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()
        image, mask = (nibabel.load(tmp_path / "a" / row[name]) for name in ("path", "mask"))
        assert image.shape == mask.shape and np.array_equal(image.affine, mask.affine)
    assert len({nibabel.aff2axcodes(nibabel.load(tmp_path / "a" / row["path"]).affine) for row in rows}) > 2
    # A patient has one label and lies in one split.
    for name in ("label", "split"):
        assert len({(row["group"], row[name]) for row in rows}) == len({row["group"] for row in rows})
    assert manifest.read_text() == again.read_text()


def test_it_is_written_once(tmp_path):
    manifest = write_sample_set(tmp_path, seed=0, items=4)
    image = tmp_path / next(csv.DictReader(manifest.open()))["path"]
    before = image.stat().st_mtime_ns
    write_sample_set(tmp_path, seed=0, items=4)
    assert image.stat().st_mtime_ns == before
    write_sample_set(tmp_path, seed=1, items=4)
    assert image.stat().st_mtime_ns != before
