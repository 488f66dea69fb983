"""From scans and masks on disk to masks on disk, in the geometry of the scans."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ssl_platform import api

AFFINE = np.array([[-1.5, 0, 0, 30], [0, 0, 2.0, -12], [0, -1.5, 0, 7], [0, 0, 0, 1]])  # axes swapped and turned


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Ten CT-like volumes with a bright sphere, and its masks."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(10):
        cells = np.indices((24, 22, 20)) - rng.integers(8, 13, (3, 1, 1, 1))
        ball = (cells**2).sum(0) < 36
        image = (60 * rng.normal(size=ball.shape) + 500 * ball).astype(np.int16)
        for folder, values in (("images", image), ("masks", ball.astype(np.uint8))):
            nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / folder / f"case{i}.nii.gz")
    return tmp_path


def test_spheres(scans: Path) -> None:
    where = {"cache": {"dir": str(scans / "cache")}}
    settings = {
        "data.window": [24, 24, 24],
        "backbone.dim": 24,
        "backbone.depth": 1,
        "backbone.heads": 2,
        "finetune.steps": 60,
        "finetune.lr": 2e-2,
        "finetune.width": 4,
        "finetune.batch_size": 4,
        "finetune.eval_every": 30,
        "data.spacing": "native",
    }
    result = api.finetune(
        encoder="random",
        domain="medical3d",
        data=scans / "images",
        labels=scans / "masks",
        run=scans / "run",
        overrides=settings,
        **where,
    )
    assert result["metrics"]["finetune/dice"]["value"] > 0.8
    assert result["metrics"]["finetune/hd95"]["value"] < 8  # mm
    told = api.predict(model=scans / "run", data=scans / "images", out=scans / "out", **where)
    assert told["items"] == 10 and told["metrics"] == {}
    for i in range(10):
        found = nib.load(scans / "out" / f"case{i}.nii.gz")
        truth = nib.load(scans / "masks" / f"case{i}.nii.gz")
        np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
        a, b = np.asarray(found.dataobj) == 1, np.asarray(truth.dataobj) == 1
        assert a.shape == b.shape and 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.7

    # the same files and scores from shards, without the scans
    scored = api.predict(
        model=scans / "run", data=scans / "images", labels=scans / "masks", out=scans / "scored", **where
    )
    api.prepare(
        data=[scans / "images"],
        labels=scans / "masks",
        domain="medical3d",
        out=scans / "shards",
        overrides={"data.spacing": "native"},
        **where,
    )
    for folder in ("images", "masks"):
        (scans / folder).rename(scans / f"{folder} elsewhere")
    again = api.predict(model=scans / "run", data=scans / "shards", out=scans / "again", **where)
    assert again["metrics"] == scored["metrics"] and again["items"] == 10
    for i in range(10):
        one, two = (nib.load(scans / out / f"case{i}.nii.gz") for out in ("scored", "again"))
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))
        np.testing.assert_array_equal(one.affine, two.affine)
