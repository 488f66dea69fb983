"""One rule for each kind of stored value; nothing is scaled twice, and what is not known is refused."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform.types import Window
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.testing import LANDSAT, write_landsat, write_raster, write_safe

STEPS = np.random.default_rng(0).integers(1200, 4000, (2, 24, 24)).astype(np.uint16)
S2 = {"SENSOR": "Sentinel-2 MSI L2A"}


def values(row):
    return Multispectral().read(row, Window((0, 0), row.shape))["main"].data


def sentinel2(path, data=STEPS, **tags):
    return write_raster(path, data, names=("B04", "B08"), tags={**S2, **tags})


@pytest.mark.parametrize(
    ("baseline", "offset"), [("02.14", 0.0), ("03.01", 0.0), ("04.00", -0.1), ("05.11", -0.1), ("N0510", -0.1)]
)
def test_the_offset_of_sentinel_2_follows_the_baseline(tmp_path, fitted, baseline, offset):
    row = fitted(sentinel2(tmp_path / "x.tif", PROCESSING_BASELINE=baseline))
    assert np.allclose(values(row), STEPS * 1e-4 + offset, atol=1e-6)
    assert ("- 0.1" in row.meta["rule"]) == (offset != 0)


def test_a_date_does_not_tell_whether_the_offset_is_in_a_copy(tmp_path, fitted):
    path = sentinel2(tmp_path / "x.tif", DATETIME="2023-05-01T10:00:00")
    with pytest.raises(Unreadable, match=r"of 2023-05-01 without a processing baseline.*data\.baseline=none"):
        fitted(path)
    with pytest.raises(Unreadable, match="of unknown date"):
        fitted(sentinel2(tmp_path / "y.tif"))
    assert np.allclose(values(fitted(path, baseline="none")), STEPS * 1e-4, atol=1e-6)
    assert np.allclose(values(fitted(path, baseline="05.00")), STEPS * 1e-4 - 0.1, atol=1e-6)
    assert np.allclose(values(fitted(path, meta={"baseline": "05.00"})), STEPS * 1e-4 - 0.1, atol=1e-6)


def test_an_old_scene_with_its_own_scale_has_no_offset(tmp_path, fitted):
    row = fitted(sentinel2(tmp_path / "x.tif", DATETIME="2015-07-11T10:00:08", SCALE="0.0001"))
    assert np.allclose(values(row), STEPS * 1e-4, atol=1e-6) and "before 2022-01-25" in row.meta["rule"]


def test_product_folders_tell_their_baseline(tmp_path, fitted):
    row = fitted(write_safe(tmp_path / "new", {"B04": STEPS[0], "B08": STEPS[1]}))
    assert np.allclose(values(row), STEPS * 1e-4 - 0.1, atol=1e-6)
    row = fitted(write_safe(tmp_path / "old", {"B04": STEPS[0], "B08": STEPS[1]}, baseline="02.09", metadata=False))
    assert np.allclose(values(row), STEPS * 1e-4, atol=1e-6)


def test_reflectance_is_recognised_and_not_scaled_again(tmp_path, fitted):
    ready = (STEPS * 1e-4).astype(np.float32)
    row = fitted(sentinel2(tmp_path / "x.tif", ready, SCALE="0.0001", PROCESSING_BASELINE="05.10"))
    assert np.allclose(values(row), ready) and "not scaled again" in row.meta["rule"]


def test_stored_steps_as_floats_are_still_steps(tmp_path, fitted):
    row = fitted(sentinel2(tmp_path / "x.tif", STEPS.astype(np.float32), PROCESSING_BASELINE="05.10"))
    assert np.allclose(values(row), STEPS * 1e-4 - 0.1, atol=1e-6)
    with pytest.raises(Unreadable, match="neither reflectance nor its stored steps"):
        fitted(sentinel2(tmp_path / "y.tif", (STEPS / 400).astype(np.float32), PROCESSING_BASELINE="05.10"))


def test_eight_bit_copies_are_said_to_have_lost_their_scale(tmp_path, fitted):
    row = fitted(sentinel2(tmp_path / "x.tif", (STEPS // 16).astype(np.uint8), PROCESSING_BASELINE="05.10"))
    assert values(row).max() <= 1 and "8-bit copy whose physical scale is lost" in row.meta["rule"]


def test_landsat_collection_2_has_its_own_factors(tmp_path, fitted):
    data = np.array([[[7273]], [[40_000]]], np.uint16).repeat(16, 1).repeat(16, 2)
    row = fitted(write_landsat(tmp_path / "a", {"SR_B4": data[0], "ST_B10": data[1]}))
    assert np.allclose(values(row)[0], 7273 * 2.75e-5 - 0.2, atol=1e-6)
    assert np.allclose(values(row)[1], 40_000 * 0.00341802 + 149.0, atol=1e-3)


def test_landsat_level_1_needs_its_metadata_file(tmp_path, fitted):
    name = LANDSAT.replace("L2SP", "L1TP")
    with pytest.raises(Unreadable, match=r"Landsat L1TP without its MTL file: keep \*_MTL\.txt beside"):
        fitted(write_landsat(tmp_path / "a", {"B4": STEPS[0], "B5": STEPS[1]}, name))
    told = (
        'PROCESSING_LEVEL = "L1TP"\nSUN_ELEVATION = 30.0\nREFLECTANCE_MULT_BAND_4 = 2.0E-05\n'
        "REFLECTANCE_ADD_BAND_4 = -0.1\nREFLECTANCE_MULT_BAND_5 = 2.0E-05\nREFLECTANCE_ADD_BAND_5 = -0.1\n"
    )
    row = fitted(write_landsat(tmp_path / "b", {"B4": STEPS[0], "B5": STEPS[1]}, name, told))
    assert np.allclose(values(row), STEPS * 4e-5 - 0.2, atol=1e-6)


def radar(path, data):
    return write_raster(path, data, names=("VV", "VH"), tags={"PLATFORM": "SENTINEL-1"})


def test_radar_in_decibels_stays_and_power_is_converted(tmp_path, fitted):
    power = (STEPS / 20_000).astype(np.float32)
    row = fitted(radar(tmp_path / "power.tif", power))
    assert np.allclose(values(row), 10 * np.log10(power), atol=1e-4) and "put in dB" in row.meta["rule"]
    row = fitted(radar(tmp_path / "db.tif", 10 * np.log10(power)))
    assert np.allclose(values(row), 10 * np.log10(power), atol=1e-4) and "not converted" in row.meta["rule"]
    with pytest.raises(Unreadable, match="amplitudes as uint16 are not calibrated"):
        fitted(radar(tmp_path / "dn.tif", STEPS))


def test_other_numbers_need_to_be_explained(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", STEPS, names=("red", "nir"))
    with pytest.raises(Unreadable, match=r"nothing says what its uint16 values of red mean: set data\.scale"):
        fitted(path)
    assert np.allclose(values(fitted(path, scale=1e-4, offset=-0.02)), STEPS * 1e-4 - 0.02, atol=1e-6)


def test_what_the_file_states_holds(tmp_path, fitted):
    import rasterio

    path = write_raster(tmp_path / "x.tif", STEPS, names=("red", "nir"))
    with rasterio.open(path, "r+") as out:
        out.scales, out.offsets = (2e-4, 2e-4), (0.5, 0.5)
    row = fitted(path)
    assert np.allclose(values(row), STEPS * 2e-4 + 0.5, atol=1e-6) and "as the file says" in row.meta["rule"]


def test_modis_and_aerial_pictures_have_their_rules(tmp_path, fitted):
    stored = STEPS.astype(np.int16)
    stored[:, :4] = -28672  # MODIS' fill, which copies seldom state
    row = fitted(write_raster(tmp_path / "MOD09GA.tif", stored, names=("sur_refl_b01", "sur_refl_b02")))
    part = Multispectral().read(row, Window((0, 0), row.shape))["main"]
    assert row.channels == ("MODIS-sur_refl_b01", "MODIS-sur_refl_b02") and not part.valid[:4].any()
    assert np.allclose(part.data[:, 4:], STEPS[:, 4:] * 1e-4, atol=1e-6) and part.valid[4:].all()
    bytes_ = (STEPS // 16).astype(np.uint8).repeat(2, 0)
    row = fitted(write_raster(tmp_path / "m_3807511_ne_18_060_20190605.tif", bytes_, names=("R", "G", "B", "NIR")))
    assert row.channels == ("NAIP-R", "NAIP-G", "NAIP-B", "NAIP-NIR") and row.meta["rule"] == "8-bit values / 255"
    assert np.allclose(values(row), bytes_ / 255, atol=1e-6) and row.meta["time"].startswith("2019-06-05")
