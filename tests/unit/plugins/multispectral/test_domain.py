"""The domain through the platform's own scan, splits and loader; real scenes where they lie beside the checkout."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.loader import Loader
from ssl_platform.data.scan import scan
from ssl_platform.opening import open_data
from ssl_platform.plan import Plan
from ssl_platform.types import Window
from ssl_platform.views.maker import ViewMaker
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.fields import write_sample_set
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.testing import write_raster

REAL = (
    Path(os.environ.get("SSL_PLATFORM_REAL_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))
    / "multispectral"
)
real = pytest.mark.skipif(not REAL.exists(), reason="no real data beside the checkout")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample_set(tmp_path_factory.mktemp("set"), places=6)


def test_the_sample_set_is_scanned_with_its_masks_aside(sample, tmp_path):
    found = scan([sample.parent], Multispectral(), folder=tmp_path / "cache")
    assert len(found.catalog) == 12 and len(found.masks) == 12 and not found.quarantined
    assert {row.channels for row in found.catalog.rows()} == {
        tuple(f"S2-{b}" for b in ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"))
    }
    assert "baseline 05.10: values x 0.0001 - 0.1" in found.settled["scale"][1]
    masks = {Path(row["path"]).name: sample.parent / row["mask"] for row in csv.DictReader(sample.open())}
    for row in found.catalog.rows():
        assert found.domain.checks(row, found.domain.verify(row)) is None
        assert set(np.unique(found.domain.read_mask(row, masks[Path(row.path).name]))) <= {0, 1, 2}


def test_both_baselines_come_to_one_scale(sample, tmp_path):
    """The offset is in the values of half the scenes; read as reflectance they are alike."""
    found = scan([sample.parent], Multispectral(), folder=tmp_path / "cache")
    means = {"03.01": [], "05.10": []}
    for row in found.catalog.rows():
        means[row.meta["baseline"]].append(found.domain.verify(row)["mean"])
    assert np.mean(means["05.10"]) == pytest.approx(np.mean(means["03.01"]), abs=0.05)


def test_batches_become_views_with_clouds_and_validity(sample, tmp_path):
    found = scan([sample.parent], Multispectral(), folder=tmp_path / "cache")
    plan = Plan.augmented(2)
    maker = ViewMaker(found.domain.layout, plan, operations=found.domain.views(), window=(64, 64))
    loader = Loader(found.catalog, found.domain, plan, window=maker.read_size, batch_size=8)
    batch = next(iter(loader))
    views = maker(batch)
    assert views[0].x.shape == (8, 10, 64, 64) and bool(views[0].x.isfinite().all())
    assert {"spectral-jitter.curve", "clouds.cover"} <= views[0].params.keys()
    assert batch.meta["lon"].shape == (8,) and float(batch.meta["day"].max()) <= 366


def test_places_are_kept_in_one_split_by_default(tmp_path):
    """Two dates of a place, and neighbours within a block, never lie in two parts."""
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for n in range(40):
        values = rng.integers(1200, 4000, (1, 16, 16)).astype(np.uint16)
        corner = (400_000 + 30_000 * (n // 4), 5_200_000 + 400 * (n % 2))
        tags = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "05.10", "DATETIME": f"2023-0{n % 4 + 3}-01"}
        write_raster(tmp_path / f"in/{n}.tif", values, names=("B04",), corner=corner, tags=tags)
        lines.append(f"in/{n}.tif,{'ab'[n // 4 % 2]}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    found = open_data(RunConfig(domain="multispectral", data={"manifest": str(tmp_path / "m.csv")}))
    assert any("by spatial block of 10 km" in line for line in found.lines)
    by_place = {}
    for row, group in zip(found.rows, found.facts.group, strict=True):
        by_place.setdefault((row.meta["x"], row.meta["y"]), set()).add(group)
    assert len(by_place) == 20 and all(len(groups) == 1 for groups in by_place.values())
    assert len(set(found.facts.group)) < 15  # most neighbours share a block
    parts = {}
    for group, row in zip(found.facts.group, found.facts.row.tolist(), strict=True):
        parts.setdefault(group, set()).add(int(found.splits.fold[row]))
    assert all(len(folds) == 1 for folds in parts.values())


def test_bands_in_files_of_their_own_join_by_a_manifest(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["id,path:B04,path:B08,sensor,baseline"]
    for n in range(3):
        for band in ("red", "infra"):
            write_raster(tmp_path / f"{band}/{n}.tif", rng.integers(1200, 4000, (1, 16, 16)).astype(np.uint16))
        lines.append(f"scene{n},red/{n}.tif,infra/{n}.tif,sentinel2,05.10")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    found = open_data(RunConfig(domain="multispectral", data={"manifest": str(tmp_path / "m.csv")}))
    assert [row.channels for row in found.rows] == [("S2-B04", "S2-B08")] * 3
    part = found.domain.read(found.rows[1], Window((0, 0), (16, 16)))["main"]
    import rasterio

    with rasterio.open(tmp_path / "infra/1.tif") as source:
        assert np.allclose(part.data[1], source.read(1) * 1e-4 - 0.1, atol=1e-6)


def test_scenes_of_two_sensors_share_batches(tmp_path):
    rng = np.random.default_rng(0)
    for n in range(4):
        optical = rng.integers(1200, 4000, (3, 24, 24)).astype(np.uint16)
        tags = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "05.10"}
        write_raster(tmp_path / f"in/s2_{n}.tif", optical, names=("B02", "B03", "B04"), tags=tags)
        radar = rng.normal(-12, 3, (2, 24, 24)).astype(np.float32)
        write_raster(tmp_path / f"in/s1_{n}.tif", radar, names=("VV", "VH"), tags={"SENSOR": "Sentinel-1"})
    found = scan([tmp_path / "in"], Multispectral(), folder=tmp_path / "cache")
    assert found.settled["pad_bands"][0] is True
    loader = Loader(found.catalog, found.domain, Plan.single(), window=(16, 16), batch_size=8)
    part = next(iter(loader)).reads[0]["main"]
    assert part.data.shape[1] == 5 and sorted(part.channel_valid.sum(1).tolist()) == [2] * 4 + [3] * 4


# ---------------------------------------------------------------------------------------------------------- real files
@pytest.mark.real
@real
def test_real_sentinel_2_scenes(tmp_path):
    found = scan([REAL / "sentinel2"], Multispectral(), folder=tmp_path / "cache")
    assert len(found.catalog) == 5 and not found.quarantined
    assert [Path(path).name for path in found.masks] == ["LULC.tif"]
    rows = list(found.catalog.rows())
    assert {len(row.channels) for row in rows} == {13} and rows[0].shape == (101, 100)
    assert [row.meta["time"][:10] for row in rows] == [f"2015-0{d}" for d in ("7-11", "7-31", "8-20", "8-30", "9-09")]
    facts = [found.domain.verify(row) for row in rows]
    assert all(
        0.05 < fact["mean"] < 0.4 and found.domain.checks(row, fact) is None
        for row, fact in zip(rows, facts, strict=True)
    )
    mask = found.domain.read_mask(rows[0], REAL / "sentinel2" / "LULC.tif")
    assert mask.shape == (101, 100) and set(np.unique(mask)) <= {0, 1, 2, 3, 4, 8}
    # All five show one place: they are one group, and partners of each other.
    domain = found.domain.among(found.catalog)
    assert len({found.domain.group(row) for row in rows}) == 1
    assert [len(domain._neighbours().partners[row.id]) for row in rows] == [4] * 5
    forest, field = (
        np.array([found.domain.read(rows[0], Window((0, 0), (101, 100)))["main"].data[:, mask == k].mean(1)])
        for k in (2, 1)
    )
    assert forest[0, 3] < field[0, 3]  # forests are darker in red light than fields


@pytest.mark.real
@real
def test_real_formats(tmp_path):
    options = MultispectralOptions(gsd="native")
    found = scan([REAL / "formats"], Multispectral(options), folder=tmp_path / "cache", max_bad_fraction=0.5)
    (bad,) = found.quarantined
    assert Path(bad.path).name == "corrupt.tif" and "damaged: its values cannot be read" in bad.reason
    rows = {Path(row.path).name: row for row in found.catalog.rows()}
    picture = rows["RGB.byte.tif"]
    assert picture.channels == ("red", "green", "blue") and picture.spacing == pytest.approx((300.04, 300.04), abs=0.01)
    part = found.domain.read(picture, Window((0, 0), (64, 64)))["main"]
    assert part.valid is not None and not part.valid.any()  # the corner lies outside the scene
    assert rows["cogeo.tif"].spacing[0] < 0.6  # Mercator's metres are longer than the ground's
