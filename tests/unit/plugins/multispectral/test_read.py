"""Windows: the right cells, in physical units, with what is missing marked, and no more bytes than needed."""

import numpy as np
import pytest

from ssl_platform.types import Window
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.read import valid_share
from ssl_platform_multispectral.testing import write_raster, write_safe
from ssl_platform_multispectral.through import read_through

RNG = np.random.default_rng(0)
DATA = RNG.integers(1200, 4000, (3, 40, 60)).astype(np.uint16)
NAMES = ("B02", "B03", "B04")
OLD = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "02.09"}


def write(path, data=DATA, **profile):
    return write_raster(path, data, names=NAMES[: len(data)], tags=OLD, **profile)


def read(row, start, size):
    return Multispectral().read(row, Window(start, size))["main"]


def test_a_window_holds_its_cells_as_reflectance(tmp_path, fitted):
    row = fitted(write(tmp_path / "x.tif"))
    part = read(row, (4, 7), (16, 8))
    assert part.data.dtype == np.float32 and part.valid is None and part.channels == row.channels
    assert np.allclose(part.data, DATA[:, 4:20, 7:15] * 1e-4, atol=1e-6)
    assert part.spacing == (10.0, 10.0) and part.origin == (40.0, 70.0)


def test_what_lies_outside_is_invalid(tmp_path, fitted):
    row = fitted(write(tmp_path / "x.tif"))
    part = read(row, (-4, 50), (16, 16))
    assert part.valid[4:, :10].all() and not part.valid[:4].any() and not part.valid[:, 10:].any()
    assert np.allclose(part.data[:, 4:, :10], DATA[:, :12, 50:] * 1e-4, atol=1e-6) and (part.data[:, :4] == 0).all()
    assert not read(row, (100, 100), (8, 8)).valid.any()


@pytest.mark.parametrize(
    ("profile", "options", "hidden"),
    [
        ({"nodata": 0}, {}, "any"),  # the file says 0: one empty band hides the cell
        ({}, {}, "all"),  # the sensor's fill: only where every band is 0
        ({}, {"nodata": "none"}, "none"),
        ({"nodata": 7}, {"nodata": 0}, "any"),
    ],
)
def test_missing_data_follow_the_file_the_sensor_or_the_user(tmp_path, fitted, profile, options, hidden):
    data = DATA.copy()
    data[0, :4] = 0
    data[:, 8:12] = 0
    part = read(fitted(write(tmp_path / "x.tif", data, **profile), **options), (0, 0), (40, 60))
    gone = np.zeros((40, 60), bool)
    if hidden != "none":
        gone[8:12] = True
    if hidden == "any":
        gone[:4] = True
    assert np.array_equal(np.ones((40, 60), bool) if part.valid is None else part.valid, ~gone)
    assert (part.data[:, gone] == 0).all()


@pytest.mark.parametrize("gsd", [7.0, 20.0, 26.0])
@pytest.mark.parametrize("kind", ["the sensor's fill", "data.nodata", "data.nodata without coordinates"])
def test_unsaid_fills_do_not_flow_into_resampled_cells(tmp_path, fitted, gsd, kind):
    """Neither linear interpolation nor averages mix a fill that the file does not state into cells beside it."""
    data = np.full((2, 60, 60), 2000, np.uint16)
    data[:, :, :21] = 0
    profile, options = {}, {}
    if kind != "the sensor's fill":
        data = np.where(data == 0, np.float32(-9999), data.astype(np.float32) * np.float32(1e-4))
        options = {"nodata": -9999.0}
    if kind.endswith("coordinates"):
        profile, gsd = {"crs": None}, gsd / 10  # cells of a scene without coordinates are as large as data.gsd says
    row = fitted(write(tmp_path / "x.tif", data, **profile), gsd=gsd, **options)
    part = read(row, (0, 0), row.shape)
    assert np.allclose(part.data[:, part.valid], 0.2, atol=1e-6)
    assert part.valid.mean() == pytest.approx(39 / 60, abs=0.03)


def test_bands_of_unlike_cells_end_at_one_line(tmp_path, fitted):
    """Beyond the swath all bands are empty, also where coarse ones are interpolated (as in products of Sentinel-2)."""
    coarse = np.full((24, 24), 2000, np.uint16)
    coarse[:, :7] = 0
    fine = coarse.repeat(2, 0).repeat(2, 1)
    row = fitted(write_safe(tmp_path, {"B02": fine, "B11": coarse}, baseline="02.09"))
    part = read(row, (0, 0), row.shape)
    assert np.array_equal(part.valid, fine > 0) and np.allclose(part.data[:, part.valid], 0.2, atol=1e-6)


def test_changing_what_is_invalid_changes_nothing(tmp_path, fitted):
    data = DATA.astype(np.float32) * 1e-4
    data[1, 5:9, 5:9] = np.nan
    other = data.copy()
    other[0, 5:9, 5:9] = 99.0
    parts = [read(fitted(write(tmp_path / f"{n}.tif", d)), (0, 0), (40, 60)) for n, d in enumerate((data, other))]
    assert np.array_equal(parts[0].valid, parts[1].valid) and np.array_equal(parts[0].data, parts[1].data)
    assert np.isfinite(parts[0].data).all() and not parts[0].valid[5:9, 5:9].any()


def test_a_mask_band_and_an_alpha_band_hide_cells(tmp_path, fitted):
    import rasterio

    shown = np.ones((40, 60), bool)
    shown[:, :20] = False
    alpha = np.where(shown, 255, 0).astype(np.uint8)[None]
    picture = np.concatenate([(DATA // 20).astype(np.uint8), alpha])
    row = fitted(write_raster(tmp_path / "alpha.tif", picture, photometric="RGB", alpha="YES"))
    assert len(row.channels) == 3 and np.array_equal(read(row, (0, 0), (40, 60)).valid, shown)
    path = write(tmp_path / "mask.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as out:
        out.write_mask(shown)
    assert np.array_equal(read(fitted(path), (0, 0), (40, 60)).valid, shown)


def test_bands_of_coarser_cells_lie_on_the_finest_grid(tmp_path, fitted):
    # A ramp is what linear interpolation returns exactly, away from edges.
    fine, coarse = (np.add.outer(np.arange(n), np.arange(n)) * (48 // n) * 20 + 1000 for n in (48, 24))
    safe = write_safe(tmp_path, {"B02": fine.astype(np.uint16), "B11": coarse.astype(np.uint16)}, baseline="02.09")
    row = fitted(safe)
    part = read(row, (8, 8), (16, 16))
    assert row.channels == ("S2-B02", "S2-B11")
    offset = 20 * 1e-4  # the centre of a coarse cell lies half a fine cell further along both axes
    assert np.allclose(part.data[1] + offset, part.data[0], atol=2e-4)


def test_a_coarser_grid_is_an_average_and_comes_from_overviews(tmp_path, fitted):
    import rasterio

    path = write(tmp_path / "x.tif", RNG.integers(1200, 4000, (3, 64, 64)).astype(np.uint16))
    with rasterio.open(path) as source:
        data = source.read()
    row = fitted(path, gsd=20.0)
    assert row.shape == (32, 32) and row.spacing == (20.0, 20.0)
    means = data.reshape(3, 32, 2, 32, 2).mean((2, 4)) * 1e-4
    assert np.allclose(read(row, (4, 4), (8, 8)).data, means[:, 4:12, 4:12], atol=1e-4)
    with rasterio.open(path, "r+") as out:
        out.build_overviews([2], rasterio.enums.Resampling.nearest)
        out.overviews(1)
    nearest = read(fitted(path, gsd=20.0), (4, 4), (8, 8)).data
    assert not np.allclose(nearest, means[:, 4:12, 4:12], atol=1e-3)  # what the overview holds, not the full cells


def test_resampled_windows_fit_together(tmp_path, fitted):
    row = fitted(write(tmp_path / "x.tif"), gsd=7.0)
    whole = read(row, (0, 0), row.shape)
    assert whole.data.shape[1:] == row.shape == (57, 86) and whole.valid is None
    part = read(row, (10, 20), (16, 16))
    assert np.abs(part.data - whole.data[:, 10:26, 20:36])[:, 2:-2, 2:-2].max() < 0.02


@pytest.mark.parametrize("kind", ["south up", "rotated", "points"])
def test_scenes_that_are_not_north_up_are_turned(tmp_path, fitted, kind):
    import rasterio
    from affine import Affine

    north = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    if kind == "south up":
        path = write(
            tmp_path / "x.tif", DATA[:, ::-1], transform=north @ Affine.translation(0, 40) @ Affine.scale(1, -1)
        )
    elif kind == "rotated":
        path = write(tmp_path / "x.tif", np.rot90(DATA, -1, (1, 2)), transform=north @ Affine(0, 1, 0, -1, 0, 40))
    else:
        corners = ((0, 0), (0, 60), (40, 0), (40, 60))
        points = [rasterio.control.GroundControlPoint(r, c, 500_000 + 10 * c, 5_000_000 - 10 * r) for r, c in corners]
        path = write(tmp_path / "x.tif", gcps=points, transform=Affine.identity())
    row = fitted(path)
    assert row.shape == (40, 60)
    part = read(row, (4, 7), (16, 8))
    assert np.allclose(part.data, DATA[:, 4:20, 7:15] * 1e-4, atol=1e-6)


def test_a_turned_picture_with_alpha_is_read(tmp_path, fitted):
    from affine import Affine

    turn = Affine(10, 0, 500_000, 0, -10, 5_000_000) @ Affine.rotation(30.0)
    picture = np.concatenate([(DATA // 20).astype(np.uint8), np.full((1, 40, 60), 255, np.uint8)])
    row = fitted(write_raster(tmp_path / "x.tif", picture, photometric="RGB", alpha="YES", transform=turn))
    part = read(row, (0, 0), row.shape)
    assert len(row.channels) == 3 and part.valid.sum() == pytest.approx(40 * 60, rel=0.03)


def test_a_tile_ends_where_the_next_begins(tmp_path):
    from ssl_platform_multispectral.options import MultispectralOptions

    domain = Multispectral(MultispectralOptions(tile=64))
    data = RNG.integers(1200, 4000, (3, 80, 100)).astype(np.uint16)
    rows = [domain.fit(row) for row in domain.scan(write(tmp_path / "x.tif", data))]
    assert [row.shape for row in rows] == [(64, 64), (64, 36), (16, 64), (16, 36)]
    part = read(rows[3], (4, 4), (16, 32))
    assert np.allclose(part.data[:, :12], data[:, 68:80, 68:100] * 1e-4, atol=1e-6) and not part.valid[12:].any()


def test_only_the_blocks_of_a_window_are_read(tmp_path, fitted):
    """A damaged block costs the windows that touch it, and no others."""
    import rasterio

    from ssl_platform.errors import Unreadable

    data = RNG.integers(1200, 4000, (3, 2048, 2048)).astype(np.uint16)
    path = write(tmp_path / "x.tif", data, tiled=True, blockxsize=256, blockysize=256, compress="deflate")
    with rasterio.open(path) as source:
        offset, size = (int(source.get_tag_item(f"BLOCK_{w}_7_7", "TIFF", bidx=1)) for w in ("OFFSET", "SIZE"))
    raw = bytearray(path.read_bytes())
    raw[offset : offset + size] = bytes(size)
    path.write_bytes(raw)
    row = fitted(path)
    assert np.allclose(read(row, (1000, 1000), (64, 64)).data, data[:, 1000:1064, 1000:1064] * 1e-4, atol=1e-6)
    with pytest.raises(Unreadable, match="damaged: a window cannot be read"):
        read(row, (1900, 1900), (64, 64))
    with pytest.raises(Unreadable, match="damaged"):
        read_through(row)


def test_a_scene_is_read_to_its_end_in_boxes(tmp_path, fitted):
    data = DATA.copy()
    data[:, :10] = 0
    facts = read_through(fitted(write(tmp_path / "x.tif", data)), edge=16)
    good = data[:, 10:] * 1e-4
    assert facts == pytest.approx(
        {"min": good.min(), "max": good.max(), "mean": good.mean(), "std": good.std(), "valid": 0.75}, rel=1e-4
    )


def test_an_enlarged_scene_is_read_through_in_its_own_cells(tmp_path, fitted, monkeypatch):
    from ssl_platform_multispectral import through

    row, boxes = fitted(write(tmp_path / "x.tif"), gsd=1.0), []
    assert row.shape == (400, 600)
    monkeypatch.setattr(through, "read", lambda row, window: boxes.append(window.size) or read(row, *window_of(window)))
    facts = through.read_through(row)
    assert boxes == [(40, 60)] and facts["max"] == pytest.approx(DATA.max() * 1e-4, rel=1e-5)


def window_of(window):
    return window.start, window.size


def test_the_share_with_data_is_seen_without_reading_the_window(tmp_path, fitted):
    data = DATA.copy()
    data[:, :, :30] = 0
    row = fitted(write(tmp_path / "x.tif", data))
    assert valid_share(row, Window((0, 0), (40, 60))) == pytest.approx(0.5, abs=0.05)
    assert valid_share(row, Window((0, 0), (16, 16))) == 0.0
    assert valid_share(row, Window((0, 44), (16, 32))) == pytest.approx(0.5)  # half of it is outside
