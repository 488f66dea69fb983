"""Each doctor check does what it says and reports one line."""

import pytest

from ssl_platform_multispectral import doctor


@pytest.mark.parametrize("name", ["raster", "jpeg2000"])
def test_formats_are_written_and_read_back(name):
    line = getattr(doctor, name)()
    assert "back" in line and "\n" not in line


@pytest.mark.slow
def test_torchgeo_is_run():
    assert "ran resnet18 on 4 bands, (1, 512)" in doctor.torchgeo()
