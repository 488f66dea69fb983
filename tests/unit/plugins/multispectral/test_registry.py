"""The registry: what operators publish, and nothing made up."""

import pytest

from ssl_platform_multispectral.registry import (
    SENSORS,
    channels_named,
    find_band,
    known_channels,
    sensor_marked,
    sensors_with,
)


def test_channel_names_are_unique_although_sensors_share_band_names():
    names = [channel.name for channel in known_channels()]
    assert len(names) == len(set(names))
    assert {"S2-B10", "OLI-B10"} <= set(names)  # cirrus and heat


@pytest.mark.parametrize(
    ("sensor", "name", "wavelength"),
    [
        ("sentinel2", "B04", 664.6),
        ("sentinel2", "b4", 664.6),
        ("sentinel2", "B8A", 864.7),
        ("landsat", "B4", 654.6),
        ("landsat", "SR_B5", 864.7),
        ("landsat", "ST_B10", 10895.0),
        ("modis", "sur_refl_b02", 858.5),
        ("naip", "NIR", 845.0),
        ("generic", "red", 665.0),
        ("generic", "842nm", 842.0),
    ],
)
def test_bands_answer_to_the_usual_names(sensor, name, wavelength):
    assert find_band(SENSORS[sensor], name).wavelength == wavelength


def test_radar_has_a_polarisation_and_no_optical_wavelength():
    for band in SENSORS["sentinel1"].bands:
        assert band.polarisation == band.name and band.wavelength is None and band.unit == "dB"


@pytest.mark.parametrize(
    ("text", "sensor"),
    [
        ("S2A_MSIL2A_20230501T100031_N0509_R122_T33TWM", "sentinel2"),
        ("Sentinel-2 MSI L1C", "sentinel2"),
        ("LC09_L2SP_190027", "landsat"),
        ("LANDSAT_8", "landsat"),
        ("S1A_IW_GRDH_1SDV", "sentinel1"),
        ("m_3807511_ne_18_060_20190605", "naip"),
        ("MOD09GA.A2021", "modis"),
    ],
)
def test_names_and_tags_tell_the_sensor(text, sensor):
    assert sensor_marked(text).name == sensor


@pytest.mark.parametrize("text", ["LANDSAT_5", "LT05_L2SP_190027", "holiday.tif", "WorldView-3"])
def test_other_instruments_are_not_taken_for_known_ones(text):
    assert sensor_marked(text) is None


def test_band_names_alone_tell_a_sensor_only_where_no_other_has_them():
    assert [s.name for s in sensors_with(["B02", "B8A"])] == ["sentinel2"]
    assert {s.name for s in sensors_with(["B4", "B5"])} == {"sentinel2", "landsat"}
    assert [s.name for s in sensors_with(["665nm", "red"])] == ["generic"]
    assert sensors_with(["B99"]) == [] and sensors_with([]) == []


def test_only_new_wavelengths_become_further_channels():
    assert [(c.name, c.wavelength) for c in channels_named(["665nm", "red", "B04", "1613.7 nm"])] == [
        ("665nm", 665.0),
        ("1613.7nm", 1613.7),
    ]
