"""From slides to catalog rows, and rows in the grid windows are read from.

A row carries what is needed to say its grid under other options without opening the file again: `levels`,
`downsamples` and `native_mpp`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_wholeslide.options import COARSEST, FINEST, WholeSlideOptions
from ssl_platform_wholeslide.pyramid import Grid, Mpp, grid_of
from ssl_platform_wholeslide.slides import Header, Slide, open_slide
from ssl_platform_wholeslide.slides.patches import count_patches

CHANNELS = ("red", "green", "blue")
_TCGA = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})", re.IGNORECASE)
_READERS = {"OpenSlideReader": "openslide", "TiffSlideReader": "tiffslide"}


def rows_of(path: Path, options: WholeSlideOptions) -> Iterator[tuple[Row, Slide]]:
    """A row for each slide of a file or a folder of DICOM files, with the open slide, to be closed by the caller.

    Raises:
        Unreadable: it cannot be used; of a folder, some of it (after the rows of the others).
    """
    from ssl_platform_wholeslide.slides.series import is_dicom, series_of

    if not path.is_dir() and not is_dicom(path):
        slide = open_slide(path, options.reader)
        row = _row(path, slide, *_group(path.name))
        if path.suffix.lower() == ".mrxs":  # the file itself is a picture at most: what is in the slide lies beside it
            row = row.replace(fingerprint=_content([path, path.with_suffix("") / "Slidedat.ini"]))
        yield row, slide
        return
    from ssl_platform.data.identity import salted

    found, problem = series_of(path)
    for series in found:
        slide = open_slide(series.files[0], options.reader)
        group = (salted(series.patient), "patient, hashed") if series.patient else _group(path.name)
        row = _row(path, slide, *group)
        short = hashlib.blake2b(series.uid.encode(), digest_size=4).hexdigest()
        content = _content(series.files)
        yield row.replace(id=short, fingerprint=content, meta={**row.meta, "file": series.files[0].name}), slide
    if problem:
        raise Unreadable(problem)


def patch_rows(path: Path) -> Iterator[Row]:
    """A row for each patch of an HDF5 file, from its header: no pixel is read.

    Raises:
        Unreadable: it cannot be used.
    """
    count, header = count_patches(path)
    row = _header_row(path, header, "hdf5", *_group(path.name))
    for number in range(count):
        yield row.replace(id=f"{number:06d}", bytes=3 * math.prod(row.shape), meta={**row.meta, "number": number})


def _content(files: Sequence[Path]) -> str:
    """Hash of the files of a slide."""
    from ssl_platform.data.fingerprint import fingerprint

    return hashlib.blake2b("".join(map(fingerprint, files)).encode(), digest_size=16).hexdigest()


def through(row: Row, slide: Slide) -> Row:
    """The row of the same file, read through another library."""
    return _row(Path(row.path), slide, row.group, str(row.meta["group_rule"]))


def file_of(row: Row) -> Path:
    """What is opened to read a row: its path, of DICOM a file in it, of HDF5 a patch in it."""
    name = row.meta.get("file")
    path = Path(row.path)
    if row.meta.get("number") is not None:
        return path.with_name(f"{path.name}#{row.meta['number']}")
    return path / str(name) if name and path.is_dir() else path


def _group(name: str) -> tuple[str | None, str]:
    """The TCGA case a file name starts with, else nothing is known: each slide is its own group."""
    case = _TCGA.match(name)
    return (case[1].upper(), "TCGA case") if case else (None, "file")


def _row(path: Path, slide: Slide, group: str | None, rule: str) -> Row:
    return _header_row(path, slide.header, _READERS[type(slide).__name__], group, rule)


def _header_row(path: Path, header: Header, reader: str, group: str | None, rule: str) -> Row:
    meta: dict[str, Any] = {
        "format": header.vendor,
        "reader": reader,
        "levels": ";".join(f"{height}x{width}" for height, width in header.levels),
        "downsamples": ";".join(f"{step:.10g}" for step in header.downsamples),
        "tiles": ";".join(f"{height}x{width}" for height, width in header.tiles),
        "group_rule": rule,
    }
    further = {
        "native_mpp": None if header.mpp is None else f"{header.mpp[0]:.7g}x{header.mpp[1]:.7g}",
        "power": header.power,
        "note": header.note or None,
    }
    meta.update({name: value for name, value in further.items() if value is not None})
    return Row(
        id=path.name,
        path=str(path),
        shape=header.shape,
        spacing=header.mpp or (),
        channels=CHANNELS,
        dtype="uint8",
        group=group,
        meta=meta,
    )


# ------------------------------------------------------------------------------------------------------------- scale
def parse_mpp(text: str) -> Mpp:
    """`0.25` or `0.25x0.26` (y, x) to microns a pixel.

    Raises:
        ValueError: not one or two numbers of a microscope's scale.
    """
    values = [float(part) for part in str(text).lower().replace(",", "x").split("x")]
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or not all(FINEST <= value <= COARSEST for value in values):
        raise ValueError(f"give one or two numbers of microns a pixel between {FINEST:g} and {COARSEST:g}")
    return values[0], values[1]


def stored_mpp(row: Row) -> Mpp | None:
    """Microns a pixel at full resolution as the manifest's column `mpp` or else the file says; None where none does.

    Raises:
        Unreadable: the column cannot be read.
    """
    told = row.meta.get("mpp")
    if told:
        try:
            return parse_mpp(str(told))
        except ValueError as error:
            raise Unreadable(f"manifest column 'mpp' is {told!r}: {error}") from None
    stored = row.meta.get("native_mpp")
    return parse_mpp(str(stored)) if stored else None


def native_mpp(row: Row, options: WholeSlideOptions) -> Mpp:
    """Microns a pixel at full resolution: the manifest's, the file's, `data.missing_mpp`, or `data.mpp` where given.

    Raises:
        Unreadable: nothing says it. It is never guessed, not from the objective either.
    """
    known = stored_mpp(row)
    if known is not None:
        return known
    for value in (options.missing_mpp, options.mpp):
        if isinstance(value, float):
            return value, value
    power = row.meta.get("power")
    hint = f" (objective {float(power):g}x, often {10 / float(power):g})" if power else ""
    note = f"{row.meta['note']}; " if row.meta.get("note") else ""
    raise Unreadable(
        f"{note}its microns a pixel are not stored{hint}: set data.missing_mpp=NUMBER or a manifest column 'mpp'"
    )


def grid(row: Row, options: WholeSlideOptions) -> Grid:
    """The grid of a row under the options.

    Raises:
        Unreadable: its scale is unknown, or it is coarser than asked for.
    """
    levels = _sizes(row.meta["levels"])
    downsamples = [float(step) for step in str(row.meta["downsamples"]).split(";")]
    target = options.mpp if isinstance(options.mpp, float) else None
    return grid_of(levels, downsamples, native_mpp(row, options), target)


def _sizes(text: object) -> list[tuple[int, int]]:
    """`1024x2048;256x512` to numbers; an empty text to none."""
    pairs = (size.split("x") for size in str(text or "").split(";") if size)
    return [(int(height), int(width)) for height, width in pairs]


def finest(row: Row) -> tuple[int, int]:
    """`(height, width)` of the finest level in pixels."""
    return _sizes(row.meta["levels"])[0]


def fitted(row: Row, options: WholeSlideOptions) -> Row:
    """The row in its grid, which it carries: `level` and `ratio`.

    Raises:
        Unreadable: as `grid`.
    """
    found = grid(row, options)
    told: dict[str, Any] = {"level": found.level, "ratio_y": found.ratio[0], "ratio_x": found.ratio[1]}
    tiles = _sizes(row.meta.get("tiles"))
    if found.level < len(tiles):
        told |= {"tile_y": tiles[found.level][0], "tile_x": tiles[found.level][1]}
    return row.replace(shape=found.shape, spacing=found.mpp, meta={**row.meta, **told})


def grid_of_row(row: Row) -> Grid:
    """The grid of a fitted row."""
    ratio = (float(str(row.meta["ratio_y"])), float(str(row.meta["ratio_x"])))
    return Grid((row.shape[0], row.shape[1]), (row.spacing[0], row.spacing[1]), int(str(row.meta["level"])), ratio)


def tile_of_row(row: Row) -> tuple[int, int]:
    """`(height, width)` of the tiles of the level a fitted row is read from, in its pixels; 0 where unknown."""
    return int(str(row.meta.get("tile_y") or 0)), int(str(row.meta.get("tile_x") or 0))


def check_same(row: Row, header: Header) -> None:
    """Refuse a slide that is no longer what was scanned.

    Raises:
        Unreadable: its levels differ.
    """
    if row.meta["levels"] != ";".join(f"{height}x{width}" for height, width in header.levels):
        raise Unreadable("its levels are no longer those that were scanned: scan the data again")
