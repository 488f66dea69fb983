"""The sample set: the class is in where the pitch goes, and nowhere else."""

import csv
import itertools
import json

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_platform_audio.logmel import spectrogram
from ssl_platform_audio.sample import CLASSES, FORMATS, recording, write_sample_set

RATE = 16_000
CHANCE = 1 / len(CLASSES)


@pytest.fixture(scope="module")
def calls():
    """128 waveforms and their spectrograms `[F, T]`, four of each class at each of eight sites."""
    made = [
        recording(label, RATE, np.random.default_rng([9, at]), np.random.default_rng([9, 1, at // 16]))
        for at, label in enumerate(tuple(CLASSES) * 32)
    ]
    return made, [spectrogram(samples, RATE)[0] for samples in made]


LABELS = np.arange(128) % 4


def accuracy(features):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    return cross_val_score(model, np.array(features), LABELS, cv=folds).mean()


def test_class_is_not_in_level_length_or_spectrum(calls):
    waves, spectra = calls
    level = [
        [len(w), np.abs(w).max(), np.std(w), np.mean(np.abs(w)), *np.percentile(w, (1, 10, 90, 99))] for w in waves
    ]
    assert accuracy(level) < CHANCE + 0.15
    values = [np.percentile(s, (1, 5, 25, 50, 75, 95, 99)) for s in spectra]
    assert accuracy(values) < CHANCE + 0.15
    means = [s.mean(1).reshape(16, 8).mean(1) for s in spectra]
    assert accuracy(means) < CHANCE + 0.15
    spreads = [s.std(1).reshape(16, 8).mean(1) for s in spectra]
    assert accuracy(spreads) < CHANCE + 0.15


def glides(spectrum):
    """Mean rise of the loudest bin below 3 kHz over the first and the second half of each whole call."""
    level = spectrum.max(0)
    track, loud = spectrum[:84].argmax(0), level > np.percentile(level, (2, 90)).mean()
    loud = np.convolve(loud, np.ones(9), mode="same") > 0  # the short gap between strokes is no pause
    edges = np.flatnonzero(np.diff(loud.astype(int)))
    calls = [(a, b) for a, b in itertools.pairwise(edges) if not loud[a] and b - a > 60]
    halves = [(np.diff(track[a + 8 : (a + b) // 2 - 5]), np.diff(track[(a + b) // 2 + 5 : b - 8])) for a, b in calls]
    return np.mean([[first.mean(), second.mean()] for first, second in halves], 0) if halves else np.zeros(2)


def test_class_is_in_the_structure(calls):
    assert accuracy([glides(spectrum) for spectrum in calls[1]]) > 0.85


def test_the_set_on_disk(tmp_path):
    manifest = write_sample_set(tmp_path / "a", seed=3, items=24)
    again, other = (write_sample_set(tmp_path / name, seed, 24) for name, seed in (("b", 3), ("c", 4)))
    rows = list(csv.DictReader(manifest.open()))
    assert list(rows[0]) == ["path", "label", "group", "split"] and len(rows) == 24
    assert manifest.read_text() == again.read_text()
    kinds, rates = set(), set()
    for row in rows:
        first, rate = soundfile.read(tmp_path / "a" / row["path"])
        second, _ = soundfile.read(tmp_path / "b" / row["path"])
        # An OGG stream carries a serial number of its own, so what is heard is compared, not bytes.
        assert np.array_equal(first, second)
        kinds.add(row["path"].rpartition(".")[2])
        rates.add(rate)
    assert kinds == {ending for ending, _ in FORMATS} and len(rates) == 3
    for name in ("label", "split"):
        assert {row[name] for row in rows} <= {*CLASSES, "train", "val", "test"}
    assert len({(row["group"], row["split"]) for row in rows}) == len({row["group"] for row in rows})
    assert [row["path"] for row in csv.DictReader(other.open())] != [row["path"] for row in rows]  # other formats


def test_every_site_has_every_class_and_every_split_its_sites(tmp_path, monkeypatch):
    monkeypatch.setattr("ssl_platform_audio.sample.recording", lambda *_: np.sin(np.arange(400.0)).astype(np.float32))
    rows = list(csv.DictReader(write_sample_set(tmp_path, items=144).open()))
    assert len(rows) == 144 and len({row["group"] for row in rows}) == 24
    for part, count in (("train", 84), ("val", 30), ("test", 30)):
        mine = [row["label"] for row in rows if row["split"] == part]
        assert len(mine) == count and len(set(mine)) == 4


def test_it_is_written_once(tmp_path):
    manifest = write_sample_set(tmp_path, seed=0, items=4)
    first = tmp_path / next(csv.DictReader(manifest.open()))["path"]
    before = first.stat().st_mtime_ns
    write_sample_set(tmp_path, seed=0, items=4)
    assert first.stat().st_mtime_ns == before
    (tmp_path / "sample.json").write_text(json.dumps({"version": 0}))
    write_sample_set(tmp_path, seed=0, items=4)
    assert first.stat().st_mtime_ns != before
