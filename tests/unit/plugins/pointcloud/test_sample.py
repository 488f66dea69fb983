"""The sample set: the class is in the structure, and nowhere else."""

import csv

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_platform.data.scan import scan as scan_files
from ssl_platform_pointcloud.domain import PointCloud
from ssl_platform_pointcloud.sample import write_sample_set
from ssl_platform_pointcloud.shapes import CLASSES, draw_shape, mesh, scan

NEAR_CHANCE = 0.25 + 0.17


def clouds(count=160):
    """Scans in a sphere of radius 1, as windows of objects are."""
    names, found = list(CLASSES), []
    for at in range(count):
        rng = np.random.default_rng([11, at])
        one = scan(draw_shape(names[at % 4], rng), 1500, rng)
        xyz = one.xyz - (one.xyz.min(0) + one.xyz.max(0)) / 2
        found.append((names[at % 4], xyz / np.linalg.norm(xyz, axis=1).max(), one))
    return found


@pytest.fixture(scope="module")
def shapes():
    return clouds()


def accuracy(features, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return cross_val_score(
        model, np.array(features), labels, cv=StratifiedKFold(5, shuffle=True, random_state=0)
    ).mean()


def profile(xyz):
    """Mean distance from the axis in each quarter of the height."""
    quarter = np.clip(((xyz[:, 2] - xyz[:, 2].min()) / np.ptp(xyz[:, 2]) * 4).astype(int), 0, 3)
    radius = np.linalg.norm(xyz[:, :2] - xyz[:, :2].mean(0), axis=1)
    return [radius[quarter == k].mean() for k in range(4)]


def test_class_is_neither_place_nor_extent_nor_colour(shapes):
    labels = [label for label, _, _ in shapes]
    xyz = [x for _, x, _ in shapes]
    moments = [[*x.mean(0), *x.std(0), *np.linalg.eigvalsh(np.cov(x.T)), *np.ptp(x, axis=0)] for x in xyz]
    assert accuracy(moments, labels) < NEAR_CHANCE
    histograms = [np.concatenate([np.histogram(x[:, i], 12, (-1, 1))[0] for i in range(3)]) for x in xyz]
    assert accuracy(histograms, labels) < NEAR_CHANCE
    colours = [[*one.colours.mean(0), *one.colours.std(0)] for _, _, one in shapes]
    assert accuracy(colours, labels) < NEAR_CHANCE
    parts = [np.bincount(one.part, minlength=3) for _, _, one in shapes]
    assert accuracy(parts, labels) < NEAR_CHANCE


def test_class_is_in_the_structure(shapes):
    assert accuracy([profile(x) for _, x, _ in shapes], [label for label, _, _ in shapes]) > 0.95


def test_scans_lie_on_their_shape_with_normals_outwards(shapes):
    for label, _, one in shapes[:4]:
        assert np.allclose(np.linalg.norm(one.normals, axis=1), 1, atol=1e-6)
        assert ((one.normals[:, :2] * one.xyz[:, :2]).sum(1) > 0).mean() > 0.9
        # Drums follow each other in the order of the class, wider ones further out.
        height = [one.xyz[one.part == rank, 2].mean() for rank in CLASSES[label]]
        assert height == sorted(height)
        radius = [np.linalg.norm(one.xyz[one.part == rank, :2], axis=1).mean() for rank in range(4)]
        assert radius == sorted(radius)


def test_meshes_have_the_same_surface():
    shape = draw_shape("urn", np.random.default_rng(0))
    vertices, faces = mesh(shape)
    one = scan(shape, 400, np.random.default_rng(1))
    apart = np.linalg.norm(one.xyz[:, None] - vertices, axis=2).min(1)
    assert np.median(apart) < 0.1 * shape.widths.max() and faces.max() < len(vertices)


def test_the_set_on_disk(tmp_path):
    manifest = write_sample_set(tmp_path / "a", seed=3, items=24)
    again = write_sample_set(tmp_path / "b", seed=3, items=24)
    assert manifest.read_text() == again.read_text()
    rows = list(csv.DictReader(manifest.open()))
    assert list(rows[0]) == ["path", "label", "group", "split"] and len(rows) == 24
    assert sorted({row["label"] for row in rows}) == sorted(CLASSES)
    assert len({row["path"].rsplit(".", 1)[1] for row in rows}) >= 5, "several formats"
    for row in rows:
        if not row["path"].endswith(("las", "laz", "npz")):  # which hold the date
            assert (tmp_path / "a" / row["path"]).read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()
    # A shape has one label and lies in one split, however often it was scanned.
    for name in ("label", "split"):
        assert len({(row["group"], row[name]) for row in rows}) == len({row["group"] for row in rows})
    found = scan_files([tmp_path / "a"], PointCloud(), folder=tmp_path / "cache", workers=1)
    assert len(found.catalog) == 24 and not found.quarantined, "manifest.csv is no cloud"
    assert found.settled["kind"][0] == "objects"


def test_it_is_written_once(tmp_path):
    manifest = write_sample_set(tmp_path, seed=0, items=4)
    cloud = tmp_path / next(csv.DictReader(manifest.open()))["path"]
    before = cloud.stat().st_mtime_ns
    write_sample_set(tmp_path, seed=0, items=4)
    assert cloud.stat().st_mtime_ns == before
    write_sample_set(tmp_path, seed=1, items=4)
    assert write_sample_set(tmp_path, seed=1, items=4) == manifest
