"""Each doctor check does what it says and reports one line."""

import pytest

from ssl_platform_medical3d import doctor


@pytest.mark.parametrize("name", ["nifti", "itk", "dicom", "zarr"])
def test_formats_are_written_and_read_back(name):
    line = getattr(doctor, name)()
    assert "6x5x4" in line and "\n" not in line
