"""Bands are known by name or refused; a guess by position is never made."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_multispectral.testing import SENTINEL2, write_landsat, write_raster

DATA = np.random.default_rng(0).integers(1200, 4000, (13, 24, 24)).astype(np.uint16)
OLD = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "02.09"}


def test_named_bands_are_taken_as_they_are(tmp_path, fitted):
    row = fitted(write_raster(tmp_path / "x.tif", DATA, names=SENTINEL2, tags=OLD))
    assert row.channels == tuple(f"S2-{name}" for name in SENTINEL2)


def test_a_choice_of_bands_is_read_in_its_order(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA, names=SENTINEL2, tags=OLD)
    assert fitted(path, bands="B08,B04,S2-B02").channels == ("S2-B08", "S2-B04", "S2-B02")
    with pytest.raises(Unreadable, match=r"band 'red' of data\.bands is not in it: it has B01"):
        fitted(path, bands="red,B04")


def test_thirteen_nameless_bands_are_not_taken_for_sentinel_2(tmp_path, fitted):
    path = write_raster(tmp_path / "EuroSAT_1.tif", DATA)
    with pytest.raises(Unreadable, match=r"its 13 bands have no names: .*data\.bands=\[B02,B03"):
        fitted(path)
    with pytest.raises(Unreadable, match=r"13 bands have no names and data\.bands names 2"):
        fitted(path, bands="B02,B03")
    # EuroSAT keeps B8A last: its order must be said, and then holds.
    order = [name for name in SENTINEL2 if name != "B8A"] + ["B8A"]
    row = fitted(path, bands=order, sensor="sentinel2", baseline="none")
    assert row.channels[-1] == "S2-B8A" and len(row.channels) == 13


def test_bands_may_be_named_by_wavelength_and_left_out(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA[:4])
    assert fitted(path, bands="490nm,560nm,skip,842nm", scale=1e-4).channels == ("490nm", "560nm", "842nm")
    assert fitted(path, bands="blue,green,red,nir", scale=1e-4).channels == ("blue", "green", "red", "nir")


def test_landsat_bands_are_not_called_sentinel_2(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA[:3], names=("B4", "B5", "B6"))
    with pytest.raises(Unreadable, match=r"may be of sentinel2 or landsat: set data\.sensor"):
        fitted(path)
    landsat = write_landsat(tmp_path / "l", {"SR_B4": DATA[0], "SR_B5": DATA[1]})
    assert fitted(landsat).channels == ("OLI-B4", "OLI-B5")
    # What the user says about the sensor must fit the file's own names.
    with pytest.raises(Unreadable, match="'SR_B4' is not known for sentinel2"):
        fitted(landsat, sensor="sentinel2")


def test_an_unknown_band_is_refused_by_name(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA[:3], names=("B02", "B03", "NDVI"), tags=OLD)
    with pytest.raises(Unreadable, match="band 'NDVI' is not known for sentinel2"):
        fitted(path)
    assert fitted(path, bands="B02,B03").channels == ("S2-B02", "S2-B03")


def test_an_unknown_sensor_is_refused_by_name(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA[:1], names=("B04",))
    with pytest.raises(Unreadable, match="sensor 'Gaofen-7' is not known"):
        fitted(path, meta={"sensor": "Gaofen-7"})


def test_the_manifest_names_bands_and_sensor(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA[:2])
    row = fitted(path, meta={"bands": "B04,B08", "sensor": "sentinel2", "baseline": "05.09"})
    assert row.channels == ("S2-B04", "S2-B08") and "05.09" in str(row.meta["rule"])


def test_colours_of_a_picture_are_what_the_file_says(tmp_path, fitted):
    picture = (DATA[:4] / 20).astype(np.uint8)
    path = write_raster(tmp_path / "x.tif", picture, photometric="RGB", alpha="YES")
    assert fitted(path).channels == ("red", "green", "blue")  # the fourth is validity


def test_two_bands_of_one_name_are_refused(tmp_path, fitted):
    path = write_raster(tmp_path / "x.tif", DATA[:2], names=("B04", "B4"), tags=OLD)
    with pytest.raises(Unreadable, match="two of its bands are S2-B04"):
        fitted(path)
