"""Label rasters join scenes by coordinates; predictions return to the map."""

import numpy as np
import pytest
import rasterio

from ssl_platform.errors import DataError, Misfit, Unreadable
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.testing import write_raster

DOMAIN = Multispectral()
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 6, (1, 40, 60)).astype(np.uint8)


@pytest.fixture
def row(tmp_path, fitted):
    data = RNG.integers(1200, 4000, (2, 40, 60)).astype(np.uint16)
    tags = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "05.10"}
    return fitted(write_raster(tmp_path / "x.tif", data, names=("B04", "B08"), tags=tags))


def test_a_mask_on_the_scene_s_grid_is_read_as_it_is(tmp_path, row):
    mask = DOMAIN.read_mask(row, write_raster(tmp_path / "other_name.tif", LABELS))
    assert mask.dtype == np.uint8 and np.array_equal(mask, LABELS[0])


def test_a_large_raster_gives_the_scene_s_part(tmp_path, row):
    country = RNG.integers(0, 6, (1, 100, 200)).astype(np.uint8)
    path = write_raster(tmp_path / "country.tif", country, corner=(499_500, 5_000_300))
    assert np.array_equal(DOMAIN.read_mask(row, path), country[0, 30:70, 50:110])


def test_cells_it_does_not_reach_or_has_no_data_for_are_unknown(tmp_path, row):
    path = write_raster(tmp_path / "part.tif", LABELS[:, :, :30], nodata=0)
    mask = DOMAIN.read_mask(row, path)
    expected = np.where(LABELS[0, :, :30] == 0, 255, LABELS[0, :, :30])
    assert np.array_equal(mask[:, :30], expected) and (mask[:, 30:] == 255).all()


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ({"metres": 20.0}, "has cells of 20 x 20, its scene of 10 x 10"),
        ({"corner": (500_003, 5_000_000)}, "of a cell off its scene's grid"),
        ({"crs": "EPSG:32632"}, "is in EPSG:32632, its scene in EPSG:32633"),
    ],
)
def test_other_grids_must_be_asked_for(tmp_path, row, profile, why):
    path = write_raster(tmp_path / "m.tif", LABELS, **profile)
    with pytest.raises(Misfit, match=rf"{why}; labels\.resample=nearest"):
        DOMAIN.read_mask(row, path)


def test_resampling_takes_the_nearest_label(tmp_path, row):
    coarse = RNG.integers(1, 6, (1, 20, 30)).astype(np.uint8)
    path = write_raster(tmp_path / "m.tif", coarse, metres=20.0)
    assert np.array_equal(DOMAIN.read_mask(row, path, resample=True), coarse[0].repeat(2, 0).repeat(2, 1))


def test_a_mask_of_other_ground_is_a_misfit(tmp_path, row):
    with pytest.raises(Misfit, match="other ground"):
        DOMAIN.read_mask(row, write_raster(tmp_path / "m.tif", LABELS, corner=(600_000, 5_000_000)))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros((2, 40, 60), np.uint8), "has 2 bands"),
        (RNG.random((1, 40, 60)).astype(np.float32), "not whole numbers"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, row, values, why):
    with pytest.raises(Unreadable, match=why):
        DOMAIN.read_mask(row, write_raster(tmp_path / "m.tif", values))


def test_without_coordinates_the_shape_must_be_equal(tmp_path, row):
    assert np.array_equal(DOMAIN.read_mask(row, write_raster(tmp_path / "m.tif", LABELS, crs=None)), LABELS[0])
    with pytest.raises(Misfit, match="shape 20x60, its scene 40x60"):
        DOMAIN.read_mask(row, write_raster(tmp_path / "n.tif", LABELS[:, :20], crs=None))


def test_predictions_lie_where_their_scene_does(tmp_path, row):
    path = DOMAIN.write_prediction(row, LABELS[0].astype(np.int64), tmp_path / "out")
    assert path.name == "out.tif" and [p.name for p in tmp_path.iterdir() if "draft" in p.name] == []
    with rasterio.open(path) as written, rasterio.open(row.path) as source:
        assert written.crs == source.crs and written.transform == source.transform and written.dtypes == ("uint8",)
        assert np.array_equal(written.read(1), LABELS[0])
    assert np.array_equal(DOMAIN.read_mask(row, path), LABELS[0])
    with pytest.raises(DataError, match="does not fit"):
        DOMAIN.write_prediction(row, LABELS[0, :3], tmp_path / "bad")


def test_predictions_of_a_resampled_tile_lie_where_it_does(tmp_path):
    from ssl_platform_multispectral.options import MultispectralOptions

    data = RNG.integers(1200, 4000, (1, 128, 128)).astype(np.uint16)
    scene = write_raster(tmp_path / "x.tif", data, names=("red",))
    domain = Multispectral(MultispectralOptions(scale=1e-4, tile=64, gsd=20.0))
    tile = [domain.fit(row) for row in domain.scan(scene)][3]
    path = domain.write_prediction(tile, np.zeros(tile.shape, np.int64), tmp_path / "out.tif")
    with rasterio.open(path) as written:
        assert written.shape == (32, 32) and written.bounds == (500_640, 4_998_720, 501_280, 4_999_360)
