"""The nastiest slides: used by a rule that is said, or refused in one line with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)


def good(path: Path) -> None:
    from ssl_platform_wholeslide.testing import tissue_picture
    from ssl_platform_wholeslide.writing import write_tiff

    write_tiff(path, tissue_picture(384, 384), 0.5)


def in_millimetres(path: Path) -> None:
    from ssl_platform_wholeslide.testing import tissue_picture, write_svs

    write_svs(path, tissue_picture(384, 384), 0.0005)


def fluorescence(path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, RNG.integers(0, 255, (384, 384), dtype=np.uint8), tile=(128, 128))


GOOD = "good{}.tif"
NASTIEST = {
    "lonely.mrxs": (lambda path: path.write_bytes(b"\xff\xd8"), False, "its data folder lonely/ is not beside it"),
    "olympus.vsi": (lambda path: path.write_bytes(b"II*\0"), False, "VSI is not read: convert it to OME-TIFF"),
    "millimetres.svs": (in_millimetres, False, "the stored 0.0005 um a pixel is no microscope's"),
    "fluorescence.tif": (fluorescence, False, "it has 1 channel where brightfield slides have red, green, blue"),
    "web_page.svs": (lambda path: path.write_text("<html>"), False, "no TIFF file although its name says so (it"),
    "pointer.svs": (None, False, "a Git LFS pointer"),
}


def test_it_is_used_by_a_rule_or_refused_with_a_way_out(told, nasty: str) -> None:
    told.check(nasty)
