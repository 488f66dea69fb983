"""Slides behind one interface, whichever library opens them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides import patches
from ssl_platform_wholeslide.slides.pages import check_tiff
from ssl_platform_wholeslide.slides.slide import Header, Region, Slide

__all__ = ["DICOM_SUFFIXES", "OTHERS", "SUFFIXES", "Header", "Region", "Slide", "open_slide"]

DICOM_SUFFIXES = (".dcm", ".dicom")
TIFF_SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs", ".ndpi", ".scn", ".bif")
SUFFIXES = (*TIFF_SUFFIXES, ".mrxs", ".vms", ".vmu", ".svslide", ".czi", *patches.SUFFIXES, *DICOM_SUFFIXES)
OTHERS = (".vsi", ".isyntax", ".lif")
"""Slides of formats that are not read: they are refused by name, never passed over."""
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(path: Path, reader: str = "auto", cache: Any = None, *, again: bool = False) -> Slide:
    """Open a slide.

    Args:
        path: the file; of DICOM any file of the series, of patches in HDF5 `FILE.h5#NUMBER`.
        reader: `openslide`, `tiffslide`, or `auto`: OpenSlide first, except for OME-TIFF, whose pyramid and scale only
            tiffslide finds.
        cache: of decoded tiles, for OpenSlide.
        again: whether it was opened before, so that its pixels need no second look.

    Raises:
        Unreadable: neither opens it, or its pixels are no 8-bit colours.
    """
    patch = patches.patch_of(path)
    if patch is not None:
        return patches.PatchReader(*patch)
    if not path.is_file():
        raise Unreadable("is no longer there")
    name = path.name.lower()
    if name.endswith(OTHERS):
        raise Unreadable(
            f"{path.suffix[1:].upper()} is not read: convert it to OME-TIFF, e.g. bfconvert IN OUT.ome.tiff"
        )
    if name.endswith(".mrxs") and not path.with_suffix("").is_dir():
        raise Unreadable(f"its data folder {path.stem}/ is not beside it: copy the folder too")
    with path.open("rb") as file:
        start = file.read(4)
    tiff = start in _TIFF_STARTS
    if name.endswith(TIFF_SUFFIXES) and not tiff:
        raise Unreadable(f"no TIFF file although its name says so (it starts with {start!r}): copy it again")
    if tiff and not again:
        check_tiff(path)
    order = ("tiffslide", "openslide") if name.endswith((".ome.tif", ".ome.tiff")) else ("openslide", "tiffslide")
    reasons = []
    for library in order if reader == "auto" else (reader,):
        try:
            return _open(path, library, cache, tiff)
        except Unreadable as error:
            reasons.append(error.why)
    raise Unreadable("; ".join(dict.fromkeys(reasons)))


def _open(path: Path, library: str, cache: Any, tiff: bool) -> Slide:
    if library == "openslide":
        from ssl_platform_wholeslide.slides.openslide_reader import OpenSlideReader

        return OpenSlideReader(path, cache)
    if not tiff:
        raise Unreadable("no TIFF, which is all tiffslide reads")
    from ssl_platform_wholeslide.slides.tiffslide_reader import TiffSlideReader

    return TiffSlideReader(path)
