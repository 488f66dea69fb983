"""One interface over both libraries and all containers; what cannot be true is not believed."""

import numpy as np
import pytest
import tifffile

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides import open_slide
from ssl_platform_wholeslide.slides.scale import ome_scale, stated
from ssl_platform_wholeslide.testing import write_dicom, write_mrxs, write_ndpi, write_ome, write_svs
from ssl_platform_wholeslide.writing import write_tiff

MAKERS = {
    "tif": lambda folder, rgb: write_tiff(folder / "x.tif", rgb, 0.5, (1, 2, 4)),
    "svs": lambda folder, rgb: write_svs(folder / "x.svs", rgb, 0.5, (1, 2, 4)),
    "ome": lambda folder, rgb: write_ome(folder / "x.ome.tif", rgb, 0.5, (1, 2, 4)),
    "ndpi": lambda folder, rgb: write_ndpi(folder / "x.ndpi", rgb, 0.5, (1, 2, 4)),
    "mrxs": lambda folder, rgb: write_mrxs(folder / "x.mrxs", rgb, 0.5, (1, 2, 4)),
    "dicom": lambda folder, rgb: write_dicom(folder / "x", rgb, 0.5, (1, 2, 4)) / "77_3.dcm",
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_container_gives_levels_scale_and_pixels(tmp_path, picture, kind):
    slide = open_slide(MAKERS[kind](tmp_path, picture))
    header = slide.header
    # of NDPI OpenSlide makes further levels by decoding its JPEG smaller
    assert header.levels[:3] == ((512, 640), (256, 320), (128, 160)) and header.mpp == pytest.approx((0.5, 0.5))
    assert header.downsamples[:3] == (1.0, 2.0, 4.0)
    for level, step in enumerate((1, 2, 4)):
        region = slide.read(level, 160 // step, 200 // step, 64, 96)
        assert region.rgb.shape == (64, 96, 3) and region.rgb.dtype == np.uint8 and region.present is None
        expected = picture[160:, 200:][::step, ::step][:64, :96].astype(float)
        assert np.abs(region.rgb - expected).mean() < 16
    slide.close()


@pytest.mark.parametrize("kind", ["tif", "svs"])
def test_both_libraries_read_the_same_pixels(tmp_path, picture, kind):
    path = MAKERS[kind](tmp_path, picture)
    regions = [open_slide(path, reader).read(0, 130, 170, 100, 120).rgb for reader in ("openslide", "tiffslide")]
    assert np.abs(regions[0].astype(int) - regions[1]).max() <= 3


def test_ome_tiff_goes_to_the_library_that_finds_its_pyramid(tmp_path, picture):
    path = MAKERS["ome"](tmp_path, picture)
    assert len(open_slide(path).header.levels) == 3 and open_slide(path).header.vendor == "ome-tiff"
    alone = open_slide(path, "openslide").header
    assert len(alone.levels) == 1 and alone.mpp is None


def test_striped_tiff_goes_to_the_library_that_opens_it(tmp_path, picture):
    tifffile.imwrite(tmp_path / "x.tif", picture, photometric="rgb")
    assert open_slide(tmp_path / "x.tif").header.shape == (512, 640)
    with pytest.raises(Unreadable, match="no format OpenSlide knows"):
        open_slide(tmp_path / "x.tif", "openslide")


@pytest.mark.parametrize(
    ("pixels", "settings", "word"),
    [
        (np.zeros((64, 64, 3), np.uint16), {"photometric": "rgb"}, "uint16 of 16 bits"),
        (np.zeros((64, 64), np.uint8), {}, "1 channel where"),
        (np.zeros((64, 64, 3), np.float32), {"photometric": "rgb"}, "float32 of 32 bits"),
    ],
)
def test_pixels_that_libraries_would_convert_in_silence_are_refused(tmp_path, pixels, settings, word):
    tifffile.imwrite(tmp_path / "x.tif", pixels, tile=(64, 64), metadata=None, **settings)
    with pytest.raises(Unreadable, match=word):
        open_slide(tmp_path / "x.tif")


def test_a_print_resolution_is_no_scale(tmp_path, picture):
    tifffile.imwrite(
        tmp_path / "x.tif", picture, photometric="rgb", tile=(256, 256), resolution=(72, 72), resolutionunit="INCH"
    )
    header = open_slide(tmp_path / "x.tif").header
    assert header.mpp is None and "352.8 um a pixel is no microscope's" in header.note


def test_scale_of_properties_and_of_ome_xml():
    assert stated({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}, "openslide") == ((0.26, 0.25), "")
    for bad in ({}, {"openslide.mpp-x": "0.25"}, {"openslide.mpp-x": "nan", "openslide.mpp-y": "0"}):
        assert stated(bad, "openslide") == (None, "")
    xml = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels {}/></Image></OME>'
    nano = 'PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.5"'
    assert ome_scale(xml.format(nano)) == ((0.5, 0.25), "")
    assert ome_scale(xml.format('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1"')) == (None, "")
    assert ome_scale("<OME") == (None, "its OME-XML cannot be parsed")


def test_what_was_not_scanned_is_told(tmp_path, picture, monkeypatch):
    import openslide
    from PIL import Image

    slide = open_slide(write_tiff(tmp_path / "x.tif", picture, 0.5))
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = 255
    monkeypatch.setattr(openslide.OpenSlide, "read_region", lambda *_: Image.fromarray(pixels, "RGBA"))
    region = slide.read(0, 0, 0, 8, 8)
    assert region.present[:4].all() and not region.present[4:].any()
