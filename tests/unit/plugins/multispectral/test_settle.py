"""What is decided for a set, and the words that say it."""

import numpy as np
import pytest

from ssl_platform.data.scan import scan
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.testing import write_raster

DATA = np.random.default_rng(0).integers(1200, 4000, (3, 24, 24)).astype(np.uint16)
S2 = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "05.10"}


def look(folder, **options):
    return scan(
        [folder], Multispectral(MultispectralOptions(**options)), folder=folder.parent / "cache", max_bad_fraction=0.9
    )


def write(path, names=("B02", "B03", "B04"), metres=10.0, **profile):
    return write_raster(path, DATA[: len(names)], names=names, tags=S2, metres=metres, **profile)


def test_cells_alike_are_kept_and_the_rules_said(tmp_path):
    for n in range(3):
        write(tmp_path / f"in/{n}.tif")
    found = look(tmp_path / "in")
    assert found.settled["gsd"] == ("native", "all 3 scenes lie within 10 % of 10 m: none is resampled")
    assert found.settled["scale"] == ("auto", "3 scenes: baseline 05.10: values x 0.0001 - 0.1")
    assert found.settled["nodata"] == ("auto", "3 scenes: 0 in all bands, the sensor's fill")
    assert not found.domain.layout.ragged_channels


def test_unlike_cells_come_to_the_median(tmp_path):
    for n, metres in enumerate((10.0, 10.0, 20.0)):
        write(tmp_path / f"in/{n}.tif", metres=metres)
    found = look(tmp_path / "in")
    assert found.settled["gsd"] == (10.0, "median of 3 scenes of 10 to 20 m")
    assert [row.shape for row in found.catalog.rows()] == [(24, 24), (24, 24), (48, 48)]
    assert {row.spacing for row in found.catalog.rows()} == {(10.0, 10.0)}
    assert look(tmp_path / "in", gsd="native").catalog.row(2).shape == (24, 24)


def test_band_sets_that_differ_in_earnest_are_padded_and_strays_named(tmp_path):
    for n in range(4):
        write(tmp_path / f"in/{n}.tif")
    for n in range(2):
        write(tmp_path / f"in/half{n}.tif", names=("B02", "B04"))
    found = look(tmp_path / "in")
    assert found.settled["pad_bands"][0] is True and found.domain.layout.ragged_channels
    assert len(found.catalog) == 6 and not found.quarantined
    (tmp_path / "in/half1.tif").unlink()
    found = look(tmp_path / "in")
    assert "pad_bands" not in found.settled and len(found.catalog) == 4
    assert "2 channels (S2-B02, S2-B04) where 4 items have 3 channels" in found.quarantined[0].reason
    assert len(look(tmp_path / "in", pad_bands=True).catalog) == 5


@pytest.mark.parametrize(
    ("options", "profile", "words"),
    [
        ({}, {"nodata": 65535}, "65535, as the file says"),
        ({"nodata": "none"}, {}, None),
        ({"nodata": -1}, {"nodata": 0}, None),
    ],
)
def test_what_is_missing_is_said(tmp_path, options, profile, words):
    write(tmp_path / "in/x.tif", **profile)
    settled = look(tmp_path / "in", **options).settled
    assert ("nodata" in settled) == (words is not None)
    assert words is None or words in settled["nodata"][1]
