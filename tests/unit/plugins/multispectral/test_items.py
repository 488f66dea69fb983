"""From files to rows: products put together, large scenes cut, label rasters set aside."""

import numpy as np
import pytest

from ssl_platform.errors import Aside, Unreadable
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.scene import scene_of
from ssl_platform_multispectral.testing import LANDSAT, SENTINEL2, write_landsat, write_raster, write_safe

RNG = np.random.default_rng(0)


def band(edge=48, low=1200, high=4000):
    return RNG.integers(low, high, (edge, edge)).astype(np.uint16)


def rows(path, **options):
    return list(Multispectral(MultispectralOptions(**options)).scan(path))


def test_a_safe_folder_is_one_scene_on_its_finest_grid(tmp_path):
    safe = write_safe(tmp_path, {"B02": band(), "B03": band(), "B11": band(24), "B01": band(8)})
    (row,) = rows(safe)
    scene = scene_of(row)
    assert row.shape == (48, 48) and row.spacing == (10.0, 10.0)
    assert [b.name for b in scene.bands] == ["B01", "B02", "B03", "B11"]
    assert (scene.sensor, scene.level, scene.baseline) == ("sentinel2", "L2A", "05.09")
    assert row.meta["time"] == "2023-05-01T10:00:31Z" and row.meta["day"] == 121
    assert row.fingerprint and row.fingerprint != rows(write_safe(tmp_path / "b", {"B02": band()}))[0].fingerprint


def test_of_several_resolutions_of_a_band_the_finest_is_taken(tmp_path):
    safe = write_safe(tmp_path, {"B02": band(), "B03": band()})
    write_raster(
        next(safe.glob("GRANULE/*/IMG_DATA")) / "R20m/T33TWM_20230501T100031_B02_20m.jp2", band(24)[None], metres=20
    )
    (scene,) = map(scene_of, rows(safe))
    assert len(scene.bands) == 2 and all("_10m" in file for file in scene.files)


def test_scenes_of_one_folder_are_told_apart(tmp_path):
    write_landsat(tmp_path, {"SR_B4": band(), "SR_B5": band()})
    write_landsat(tmp_path, {"SR_B4": band(), "SR_B5": band()}, LANDSAT.replace("190027", "190028"))
    assert [row.id for row in rows(tmp_path)] == [LANDSAT, LANDSAT.replace("190027", "190028")]


def test_bands_that_cover_unlike_ground_are_refused_and_the_other_scene_is_kept(tmp_path):
    write_landsat(tmp_path, {"SR_B4": band(), "SR_B5": band()})
    other = LANDSAT.replace("190027", "190028")
    write_landsat(tmp_path, {"SR_B4": band()}, other)
    write_raster(tmp_path / f"{other}_SR_B5.TIF", band()[None], metres=30, corner=(503_000, 5_000_000))
    found = Multispectral().scan(tmp_path)
    assert next(iter(found)).id == LANDSAT
    with pytest.raises(Unreadable, match=f"{other}: .*cover unlike ground"):
        next(iter(found))


def test_bands_in_other_coordinate_systems_are_refused(tmp_path):
    write_landsat(tmp_path, {"SR_B4": band()})
    write_raster(tmp_path / f"{LANDSAT}_SR_B5.TIF", band()[None], metres=30, crs="EPSG:32632")
    with pytest.raises(Unreadable, match="EPSG:32632"):
        rows(tmp_path)


def test_an_unpacked_half_product_is_refused(tmp_path):
    safe = tmp_path / "S2A_MSIL2A_20230501T100031_N0509_R122_T33TWM_20230501T1.SAFE"
    safe.mkdir()
    (safe / "MTD_MSIL2A.xml").write_text("<a/>")
    with pytest.raises(Unreadable, match="unpacked completely"):
        rows(safe)


def test_large_scenes_are_cut_into_items_that_cover_them_once(tmp_path):
    path = write_raster(tmp_path / "large.tif", np.ones((1, 300, 200), np.uint16), names=("B04",))
    found = rows(path, tile=128)
    boxes = [scene_of(row).box for row in found]
    seen = np.zeros((300, 200), int)
    for y, x, height, width in boxes:
        seen[y : y + height, x : x + width] += 1
    assert (seen == 1).all() and len(boxes) == 6
    assert len({row.id for row in found}) == 6 and found[0].shape == (128, 128)
    assert len({(row.meta["x"], row.meta["y"]) for row in found}) == 6  # each has its own place, and so its own block
    assert len(rows(path)) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_a_nameless_band_of_few_whole_numbers_is_a_label_raster(tmp_path, dtype):
    classes = RNG.integers(0, 9, (1, 40, 40)).astype(dtype)
    with pytest.raises(Aside, match=r"label rasters \(one nameless band of 9 whole numbers\)"):
        rows(write_raster(tmp_path / "map.tif", classes))


def test_a_band_with_a_name_is_none_however_few_its_values(tmp_path):
    classes = RNG.integers(0, 9, (1, 40, 40)).astype(np.uint16)
    assert len(rows(write_raster(tmp_path / "x_B04.tif", classes))) == 1
    assert len(rows(write_raster(tmp_path / "y.tif", classes, names=("B04",)))) == 1


def test_quality_layers_are_set_aside_by_name(tmp_path):
    with pytest.raises(Aside, match="named as quality or land-cover layers"):
        rows(write_raster(tmp_path / "scene_SCL.tif", band()[None]))


@pytest.mark.parametrize(
    ("values", "profile", "why"),
    [
        (np.zeros((1, 8, 8), np.complex64), {}, "complex radar values"),
        (np.zeros((2, 8, 8), np.float32) * np.nan, {}, "every cell is without data"),
        (np.zeros((2, 8, 8), np.uint16), {"nodata": 0}, "every cell is without data"),
    ],
)
def test_what_cannot_be_an_image_is_refused(tmp_path, values, profile, why):
    with pytest.raises(Unreadable, match=why):
        rows(write_raster(tmp_path / "x.tif", values, **profile))


def test_damage_in_a_small_scene_is_found_by_the_scan(tmp_path):
    path = write_raster(tmp_path / "x.tif", RNG.integers(0, 9999, (13, 96, 96)).astype(np.uint16), names=SENTINEL2)
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(Unreadable, match=r"damaged"):
        rows(path)
