"""Names, tags and metadata files: what they say of a scene."""

from pathlib import Path

import pytest

from ssl_platform_multispectral.products import Product, from_metadata, from_name, from_tags, iso


def test_a_sentinel_2_name_tells_level_time_and_baseline():
    found = from_name(Path("/x/S2B_MSIL1C_20220126T100031_N0400_R122_T33TWM_20220126T1.SAFE/a/T33TWM_B02.jp2"))
    assert found == Product("sentinel2", "L1C", "", "04.00", "2022-01-26T10:00:31Z")


def test_a_landsat_name_tells_level_collection_and_day():
    found = from_name(Path("LC09_L2SP_190027_20220704_20220712_02_T1_SR_B4.TIF"))
    assert found == Product("landsat", "L2SP", "02", "", "2022-07-04T00:00:00Z")


def test_a_single_date_in_a_name_is_its_time_and_two_are_none():
    assert from_name(Path("S2_L1C_20150711.tif")).time == "2015-07-11T00:00:00Z"
    assert from_name(Path("change_20150711_20160711.tif")).time == ""
    assert from_name(Path("chip_123456789.tif")).time == ""


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2015-07-11T10:00:08", "2015-07-11T10:00:08Z"),
        ("2019:06:05 12:00:01", "2019-06-05T12:00:01Z"),
        ("20230501T100031", "2023-05-01T10:00:31Z"),
        ("2021-07-04", "2021-07-04T00:00:00Z"),
        ("2021-02-30", ""),
        ("soon", ""),
    ],
)
def test_times_in_the_usual_forms(text, result):
    assert iso(text) == result


def test_tags_tell_sensor_level_baseline_and_time():
    found = from_tags(
        {"Sensor": "Sentinel-2 MSI L2A", "PROCESSING_BASELINE": "N0510", "DATETIME": "2022-08-01T10:05:12"}
    )
    assert found == Product("sentinel2", "L2A", "", "05.10", "2022-08-01T10:05:12Z")
    assert from_tags({"AREA_OR_POINT": "Area"}) == Product()


def test_landsat_metadata_gives_factors_with_the_height_of_the_sun(tmp_path):
    mtl = tmp_path / "LC08_MTL.txt"
    mtl.write_text(
        'GROUP = X\n  PROCESSING_LEVEL = "L1TP"\n  COLLECTION_NUMBER = 02\n  DATE_ACQUIRED = 2021-07-04\n'
        '  SCENE_CENTER_TIME = "09:53:02.1234560Z"\n  SUN_ELEVATION = 30.0\n'
        "  REFLECTANCE_MULT_BAND_4 = 2.0000E-05\n  REFLECTANCE_ADD_BAND_4 = -0.100000\nEND\n"
    )
    found = from_metadata([mtl])
    assert (found.level, found.collection, found.time) == ("L1TP", "02", "2021-07-04T09:53:02Z")
    assert found.scale("B4") == pytest.approx((4e-5, -0.2))
    assert found.scale("B5") is None


def test_what_is_known_first_stays():
    assert Product("landsat", time="a").over(Product("sentinel2", "L2A", time="b")) == Product(
        "landsat", "L2A", time="a"
    )
