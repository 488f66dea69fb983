"""The sample set: the class is in how things move, and nowhere else."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_platform_video.header import read_header
from ssl_platform_video.scenes import CLASSES, make_scene, write_sample_set

CHANCE = 1 / len(CLASSES)


@pytest.fixture(scope="module")
def scenes():
    return [make_scene(CLASSES[at % 4], np.random.default_rng([9, at])) for at in range(72)]


def accuracy(scenes, feature):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    features = np.array([feature(scene) for scene in scenes])
    return cross_val_score(model, features, [scene.label for scene in scenes], cv=folds).mean()


def histogram(scene):
    return np.concatenate([np.histogram(scene.frames[..., c], 16, (0, 255), density=True)[0] for c in range(3)])


def energies(scene):
    """How long, how fast, how large, and how much changes from frame to frame."""
    values = scene.frames.astype(np.float32)
    change = np.abs(np.diff(values, axis=0))
    return [len(values), scene.fps, *values.shape[1:3], values.mean(), values.std(), change.mean(), change.max()]


def still(scene):
    """The middle frame, coarsely."""
    frame = scene.frames[len(scene.frames) // 2].mean(-1)
    return (
        frame[: frame.shape[0] // 8 * 8, : frame.shape[1] // 8 * 8]
        .reshape(8, -1, 8, frame.shape[1] // 8)
        .mean((1, 3))
        .ravel()
    )


def motion(scene):
    """How far each frame has moved since the one before last (phase correlation): mean and spread over time."""
    grey = scene.frames.mean(-1)[:, :72, :72]
    grey = grey - grey.mean((1, 2), keepdims=True)
    spectra = np.fft.fft2(grey * np.hanning(72)[:, None] * np.hanning(72))
    steps = []
    for a, b in zip(spectra[:-2], spectra[2:], strict=True):
        cross = np.fft.ifft2(b * a.conj()).real
        down, across = np.unravel_index(cross.argmax(), cross.shape)
        steps.append([(down + 36) % 72 - 36, (across + 36) % 72 - 36])
    v = np.array(steps, float)
    mean, spread = v.mean(0), v.std(0)
    return [mean[0], abs(mean[1]), np.hypot(*mean), *spread, np.hypot(*v.T).mean()]


def test_class_is_neither_colour_nor_energy_nor_a_single_frame(scenes):
    for feature in (histogram, energies, still):
        assert accuracy(scenes, feature) < CHANCE + 0.14, feature.__name__


def test_class_is_in_the_motion(scenes):
    assert accuracy(scenes, motion) > 0.9


def test_a_mirrored_clip_keeps_its_class(scenes):
    mirrored = [type(s)(s.frames[:, :, ::-1], s.times, s.fps, s.label) for s in scenes]
    assert accuracy(mirrored, motion) > 0.9


def test_the_set_on_disk(tmp_path):
    manifest = write_sample_set(tmp_path / "a", seed=3, items=24)
    write_sample_set(tmp_path / "b", seed=3, items=24)
    rows = list(csv.DictReader(manifest.open()))
    assert list(rows[0]) == ["path", "label", "group", "split", "frame_rate"] and len(rows) == 24
    assert sorted({row["label"] for row in rows}) == sorted(CLASSES)
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert {Path(row["path"]).suffix for row in rows} >= {".mp4", ".mkv"}
    for row in rows:
        path = tmp_path / "a" / row["path"]
        if path.is_dir():
            assert float(row["frame_rate"]) in (10.0, 12.0, 12.5, 15.0)
            continue
        assert path.read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()
        header = read_header(path)
        assert 2.5 < header.duration < 4.7 and min(header.shown) >= 72 and header.variable == (path.suffix == ".mkv")
    # A camera has one label and lies in one split.
    for name in ("label", "split"):
        assert len({(row["group"], row[name]) for row in rows}) == len({row["group"] for row in rows})
    assert manifest.read_text() == (tmp_path / "b" / "manifest.csv").read_text()


def test_it_is_written_once(tmp_path):
    manifest = write_sample_set(tmp_path, seed=0, items=4)
    before = manifest.stat().st_mtime_ns
    write_sample_set(tmp_path, seed=0, items=4)
    assert manifest.stat().st_mtime_ns == before
    write_sample_set(tmp_path, seed=1, items=4)
    assert manifest.stat().st_mtime_ns != before
