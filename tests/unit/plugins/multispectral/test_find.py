"""Which files are scenes, which are bands of one, and which lie beside them."""

import numpy as np
import pytest

from ssl_platform_multispectral.find import band_file, bands_by_scene, beside, find
from ssl_platform_multispectral.testing import LANDSAT, write_landsat, write_raster, write_safe

BAND = np.ones((12, 12), np.uint16)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("T33TWM_20230501T100031_B02_10m.jp2", ("T33TWM_20230501T100031", "B02", "_10m")),
        ("T33TWM_20230501T100031_B8A.jp2", ("T33TWM_20230501T100031", "B8A", None)),
        (f"{LANDSAT}_SR_B4.TIF", (LANDSAT, "SR_B4", None)),
        ("MOD09GA.A2021.h18v04_sur_refl_b01.tif", ("MOD09GA.A2021.h18v04", "sur_refl_b01", None)),
        ("s1_2021_VV.tif", ("s1_2021", "VV", None)),
    ],
)
def test_band_files_are_known_by_their_names(name, parts):
    assert band_file(name).group("scene", "band", "metres") == parts


@pytest.mark.parametrize("name", ["scene.tif", "S2_L1C_20150711.tif", "B02.txt", "forest_A1.tif"])
def test_other_names_hold_no_band(name):
    assert band_file(name) is None


@pytest.mark.parametrize("name", ["LULC.tif", "T33_SCL_20m.jp2", "x_QA_PIXEL.TIF", "x_MSK_CLDPRB.jp2", "s_fmask.tif"])
def test_layers_beside_bands_are_known(tmp_path, name):
    assert beside(tmp_path / name)
    assert not beside(tmp_path / "scene_B04.tif")


def test_a_single_band_file_is_no_scene_of_several():
    assert bands_by_scene(["a_B02.tif", "a_B03.tif", "b_B02.tif"]) == {"a": ["a_B02.tif", "a_B03.tif"]}


def test_folders_of_bands_are_one_candidate_and_files_their_own(tmp_path):
    write_landsat(tmp_path / "landsat", {"SR_B4": BAND, "SR_B5": BAND})
    safe = write_safe(tmp_path / "s2", {"B02": BAND, "B03": BAND})
    chip = write_raster(tmp_path / "chips" / "chip.tif", BAND[None])
    (tmp_path / "chips" / "notes.txt").write_text("no")
    (tmp_path / ".hidden").mkdir()
    write_raster(tmp_path / ".hidden" / "x.tif", BAND[None])
    assert list(find(tmp_path)) == [chip, tmp_path / "landsat", safe]
    assert list(find(safe)) == [safe] and list(find(chip)) == [chip]
