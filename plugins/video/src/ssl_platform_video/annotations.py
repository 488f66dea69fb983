"""What is marked in the frames of a video: a folder of mask pictures (DAVIS), or a table of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.data.table import TEXT_SUFFIXES, Table, read_table
from ssl_platform.errors import DataError, Misfit, Unreadable
from ssl_platform.types import Row
from ssl_platform_video.header import Header
from ssl_platform_video.mask_pictures import ARCHIVE, picture, pictures_of
from ssl_platform_video.readers import SOON

COPIED = ("source_frames", "source_fps", "source_variable", "source_height", "source_width")
"""Facts of a copy about the video it was made from."""
_COLUMNS = ("frame", "point", "x", "y")
_HIDDEN = ("0", "0.0", "false", "no")


@dataclass(frozen=True)
class Points:
    """Named points in every cell along time of a row's grid.

    Attributes:
        names: of the K points.
        places: `[T, K, 2]` down and across as fractions of the frame; nan where nothing is known.
        visible: `[T, K]` bool.
    """

    names: tuple[str, ...]
    places: np.ndarray
    visible: np.ndarray


def is_points(path: Path) -> bool:
    """Whether a file of labels is a table of points."""
    return path.suffix.lower() in TEXT_SUFFIXES


def read_mask(row: Row, path: Path, resample: bool = False) -> np.ndarray:
    """Objects by number in a row's grid: `[T, H, W]`, 0 for none; the pixels of points, numbered from 1.

    Args:
        row: of the video.
        path: a folder (or archive) with a picture a frame, or a table of points.
        resample: whether pictures of another size than the frames are scaled (`labels.resample`).

    Raises:
        Misfit: they are not those of this video.
        Unreadable: it is neither, or damaged.
    """
    if path.is_dir() or path.suffix == ARCHIVE:
        return _masks(row, path, resample)
    if not is_points(path):
        raise Unreadable(f"{path.name} is no folder of mask pictures (one a frame) and no table of points (.csv)")
    points = read_points(row, path)
    found = np.zeros(row.shape, np.int16)
    size = np.array(row.shape[1:])
    for t, k in np.argwhere(points.visible):
        y, x = np.minimum((points.places[t, k] * size).astype(int), size - 1)
        found[t, y, x] = k + 1
    return found


def _masks(row: Row, path: Path, resample: bool) -> np.ndarray:
    source = Source.of(row)
    with pictures_of(path) as files:
        if len(files) != source.frames:
            raise Misfit(f"{path.name} holds {len(files)} numbered masks, and the video has {source.frames} frames")
        number = frame_numbers(row)
        shown = None if resample else source.shown
        wanted = {at: picture(files[at], (row.shape[1], row.shape[2]), shown) for at in np.unique(number).tolist()}
    return np.stack([wanted[at] for at in number.tolist()])


@dataclass(frozen=True)
class Source:
    """The video that labels speak of: the item itself, or what a copy was made from.

    Attributes:
        frames: number of them.
        fps: frames per second.
        variable: whether they come at uneven times.
        shown: height and width of the upright frame.
    """

    frames: int
    fps: float
    variable: bool
    shown: tuple[int, int]

    @classmethod
    def of(cls, row: Row) -> Source:
        """That of an item.

        Raises:
            Misfit: a copy that does not say what it was made from.
        """
        if not row.meta.get("copy"):
            found = Header.of(row.meta)
            return cls(found.frames, found.fps, found.variable, found.shown)
        known: Any = {name: row.meta.get(name) for name in COPIED}
        if None in known.values():
            raise Misfit("this copy does not say what it was made from: prepare the videos again")
        frames, fps, variable, height, width = known.values()
        return cls(int(frames), float(fps), bool(variable), (int(height), int(width)))

    def as_meta(self) -> dict[str, Any]:
        """Facts for `Row.meta` of a copy."""
        return dict(zip(COPIED, (self.frames, self.fps, self.variable, *self.shown), strict=True))


def frame_numbers(row: Row) -> np.ndarray:
    """`[T]` number of the source's frame that each cell along time shows.

    Raises:
        Misfit: frames come at uneven times, which numbers do not tell.
    """
    source = Source.of(row)
    if source.variable:
        raise Misfit("frames of this video come at uneven times: labels by number need a folder of frames")
    times = (np.arange(row.shape[0]) + 0.5) * row.spacing[0]
    return np.floor((times + SOON) * source.fps).astype(int).clip(0, source.frames - 1)


def read_points(row: Row, path: Path) -> Points:
    """The points of a video in its row's grid.

    The table has columns `frame` (counted from 0), `point` (a name), `x` and `y` (pixels of the upright frame from its
    upper left corner), and may have `visible` (0 or 1). What has no row is not visible.

    Raises:
        Misfit: it speaks of frames the video has not.
        Unreadable: a column or a number is missing.
    """
    try:
        table = read_table(path)
        columns = {name: table.column(name, "points") for name in _COLUMNS}
    except DataError as error:
        raise Unreadable(str(error)) from None
    source, names = Source.of(row), tuple(dict.fromkeys(columns["point"]))
    places = np.full((source.frames, len(names), 2), np.nan)
    visible = np.zeros(places.shape[:2], bool)
    seen = table.columns.get("visible", ["1"] * len(table))
    for at, name in enumerate(columns["point"]):
        frame, x, y = (_number(table, columns, column, at) for column in ("frame", "x", "y"))
        if not 0 <= frame < source.frames or frame != int(frame):
            raise Misfit(f"{table.where(at)}: frame {frame:g} of a video of {source.frames} frames, counted from 0")
        place = np.array([y, x]) / source.shown
        places[int(frame), names.index(name)] = place
        inside = bool((place >= 0).all() and (place < 1).all())
        visible[int(frame), names.index(name)] = inside and seen[at].lower() not in _HIDDEN
    number = frame_numbers(row)
    return Points(names, places[number], visible[number])


def _number(table: Table, columns: dict[str, list[str]], name: str, at: int) -> float:
    try:
        return float(columns[name][at])
    except ValueError:
        raise Unreadable(f"{table.where(at)}: {name} is {columns[name][at]!r}, not a number") from None


def body_sizes(points: Points, shape: Sequence[int]) -> np.ndarray:
    """`[T]` 0.6 times the longer side of the box around the visible points, in pixels of `shape` (H, W); 0 for none.

    JHMDB's measure of a person (Jhuang et al., ICCV 2013) as PCK uses it (Yang and Ramanan, TPAMI 2013).
    """
    pixels = points.places * np.asarray(shape)
    sizes = np.zeros(len(pixels))
    for t, shown in enumerate(points.visible):
        if shown.sum() > 1:
            sizes[t] = 0.6 * np.ptp(pixels[t, shown], axis=0).max()
    return sizes
