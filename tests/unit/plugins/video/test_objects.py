"""Sample videos whose masks and points are known, and label propagation on them."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.configure import configure
from ssl_platform.errors import ConfigError
from ssl_platform.opening import open_data
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer.protocols.answer import Budget
from ssl_platform_video.annotations import Source, is_points, read_points
from ssl_platform_video.label_propagation import label_propagation
from ssl_platform_video.objects import FRAMES, JOINTS, make_figure, make_objects, write_objects
from ssl_platform_video.tracking import j_and_f

TINY = {
    "backbone.depth": 1,
    "backbone.dim": 24,
    "backbone.heads": 2,
    "backbone.patch": [2, 8, 8],
    "data.window": [2, 64, 64],
    "data.short_side": 128,
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_objects(tmp_path_factory.mktemp("objects"), items=6)


def test_what_is_marked_is_what_moves():
    made = make_objects(np.random.default_rng(0))
    masks, frames = made.masks, made.frames.astype(float)
    assert masks.shape == frames.shape[:3] == (FRAMES, *masks.shape[1:]) and set(np.unique(masks)) == {0, 1, 2}
    ground = (masks == 0).all(0)
    assert frames[:, ground].std(0).max() < 12  # noise alone
    still = j_and_f(masks, np.repeat(masks[:1], FRAMES, 0))
    assert still["j"] < 0.4 and j_and_f(masks, masks)["j_and_f"] == 1
    for number in (1, 2):
        centre = np.array([np.argwhere(mask == number).mean(0) for mask in masks if (mask == number).sum() > 300])
        assert np.linalg.norm(np.diff(centre, axis=0), axis=1).max() < 9


def test_joints_are_where_they_are_said_to_be():
    made = make_figure(np.random.default_rng(1))
    assert made.points.shape == (FRAMES, len(JOINTS), 2)
    pixels = made.points.round().astype(int)
    for joint in range(len(JOINTS)):
        seen = np.array([made.frames[t, y, x] for t, (y, x) in enumerate(pixels[:, joint])], float)
        assert (np.abs(seen - np.median(seen, 0)) < 60).all()  # one colour all along


def test_the_set_is_written_once_and_again_alike(manifest, tmp_path):
    before = manifest.stat().st_mtime_ns
    assert write_objects(manifest.parent, items=6).stat().st_mtime_ns == before
    again = write_objects(tmp_path, items=6)
    assert again.read_text() == manifest.read_text()
    first = "marks/object02.csv"
    assert (tmp_path / first).read_bytes() == (manifest.parent / first).read_bytes()


WORDS = {"encoder": "random", "domain": "video", "task": "label-propagation"}


@pytest.fixture(scope="module")
def scored(manifest, tmp_path_factory):
    """The sample videos followed, in a run folder."""
    run = tmp_path_factory.mktemp("runs") / "run"
    return api.probe(**WORDS, manifest=manifest, run=run, overrides=TINY), run


def test_features_follow_what_is_marked(scored):
    """Random weights see colours: masks and points are followed, which copying the first frame's does not do."""
    found, run = scored
    value = {name.removeprefix("label-propagation/"): m["value"] for name, m in found["metrics"].items()}
    assert set(value) == {
        f"{name}{end}" for name in ("j_and_f", "j", "f", "pck@0.1", "pck@0.2") for end in ("", "_still")
    }
    for name, least in (("j", 0.7), ("f", 0.7), ("pck@0.2", 0.8)):
        assert value[name] > least > 0.4 > value[f"{name}_still"], name
    assert found["metrics"]["label-propagation/j"]["ci_over"] == "groups"
    assert "label-propagation/j_and_f " in (run / "events.log").read_text()
    with (run / "predictions_label-propagation.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 6
    points = {name for name, row in rows.items() if not row["j"]}
    assert points == {"videos/object02", "videos/object05.mp4"} and all(rows[name]["pck@0.1"] for name in points)


def test_folders_of_masks_are_labels_as_davis_has_them(manifest, tmp_path):
    """`--data JPEGImages --labels Annotations`: a folder of masks has the name of its video."""
    for name in ("object00", "object03", "object06"):
        if (manifest.parent / "videos" / name).is_dir():
            shutil.copytree(manifest.parent / "videos" / name, tmp_path / "JPEGImages" / name)
            shutil.copytree(manifest.parent / "marks" / name, tmp_path / "Annotations" / name)
    keys = {**TINY, "data.frame_rate": 8, "probe.radius": None, "probe.neighbours": 5}
    found = api.probe(
        **WORDS, data=tmp_path / "JPEGImages", labels=tmp_path / "Annotations", run=tmp_path / "run", overrides=keys
    )
    metrics = found["metrics"]
    assert metrics["label-propagation/j"]["value"] > 0.4 > metrics["label-propagation/j_still"]["value"]
    assert "label-propagation/pck@0.1" not in metrics
    assert found["details"]["label-propagation"][0] == {
        "context": 20,
        "neighbours": 5,
        "radius": None,
        "temperature": 0.05,
        "frame_size": 128,
    }


def test_prepared_copies_keep_the_marks_of_their_videos(manifest, scored, tmp_path, monkeypatch):
    """The same masks and points, in the pixels of the videos, and figures as near as the copies' pixels allow."""
    source = tmp_path / "source"
    shutil.copytree(manifest.parent, source)
    before = open_data(configure("probe", **WORDS, manifest=source / "manifest.csv", overrides=TINY))
    marks = [marked(before, number) for number in range(6)]
    made = api.prepare(manifest=source / "manifest.csv", domain="video", out=tmp_path / "shards")
    assert made["items"] == 6 and not made["lossless"]
    source.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    after = open_data(configure("probe", **WORDS, data=[tmp_path / "shards"], overrides=TINY))
    assert not after.quarantined
    for number, expected in enumerate(marks):
        found = marked(after, number)
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True))
    again = api.probe(**WORDS, data=tmp_path / "shards", run=tmp_path / "run", overrides=TINY)
    for name, metric in scored[0]["metrics"].items():
        apart = 0 if "_still" in name else 0.05 if "pck" in name else 0.02  # two videos have points, and 4:2:0 colours
        assert again["metrics"][name]["value"] == pytest.approx(metric["value"], abs=apart), name


def marked(data, number):
    """What is known of one item: its masks in the pixels of the video, or its points."""
    row, domain = data.rows[number], data.domain
    (path,) = (Path(m) for m, at in zip(data.facts.mask, data.facts.row, strict=True) if at == number)
    if is_points(path):
        points = read_points(row, domain.mask_file(path))
        return points.places, points.visible
    full = row.replace(shape=(row.shape[0], *Source.of(row).shown))
    return (np.asarray(domain.cache.open_mask(full, path, domain).data),)


def test_files_packed_as_they_are_give_the_same_figures(manifest, tmp_path):
    """`prepare --exact` of the video files: nothing differs."""
    for part in ("videos", "marks"):
        shutil.copytree(manifest.parent / part, tmp_path / part)
    lines = manifest.read_text().splitlines()
    few = tmp_path / "files.csv"
    few.write_text("\n".join([lines[0], *(line for line in lines[1:] if ".mp4" in line)]) + "\n")
    before = api.probe(**WORDS, manifest=few, run=tmp_path / "before", overrides=TINY)
    assert api.prepare(manifest=few, domain="video", out=tmp_path / "shards", exact=True)["lossless"]
    (tmp_path / "videos").rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "marks")
    after = api.probe(**WORDS, data=tmp_path / "shards", run=tmp_path / "after", overrides=TINY)
    assert after["metrics"] == before["metrics"] and "label-propagation/pck@0.1" in after["metrics"]


def test_a_finer_grid_gives_finer_masks(tmp_path):
    """The default encoder, made for windows of 64 pixels in patches of 16, looks at frames of 256: 16 cells, not 4."""
    manifest = write_objects(tmp_path, items=2)
    small = {name: value for name, value in TINY.items() if name.startswith("backbone.d") or "heads" in name}
    found = {}
    for size in (64, "auto"):
        keys = {**small, "probe.frame_size": size, "data.window": [2, 64, 64]}
        result = api.probe(**WORDS, manifest=manifest, run=tmp_path / str(size), overrides=keys)
        found[size] = {name.rpartition("/")[2]: m["value"] for name, m in result["metrics"].items()}
        assert result["details"]["label-propagation"][0]["frame_size"] == (256 if size == "auto" else size)
    assert found["auto"]["j"] > found[64]["j"] + 0.2 and found["auto"]["f"] > found[64]["f"] + 0.2
    assert found["auto"]["j_still"] == found[64]["j_still"]  # scored in the pixels of the videos all the same


def test_other_domains_are_refused():
    data = SimpleNamespace(domain=ToyDomain(ToyDomain.Options()), facts=None)
    with pytest.raises(ConfigError, match="follows objects through videos, not toy items"):
        label_propagation(SimpleNamespace(data=data), None, np.arange(1), Budget())
