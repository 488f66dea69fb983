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
from ssl_platform_video.readers import SOON
from ssl_platform_video.readers.frames import frames_of

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
        path: a folder with a picture a frame, or a table of points.
        resample: whether pictures of another size than the frames are scaled (`labels.resample`).

    Raises:
        Misfit: they are not those of this video.
        Unreadable: it is neither, or damaged.
    """
    if path.is_dir():
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


def _masks(row: Row, folder: Path, resample: bool) -> np.ndarray:
    source, files = Header.of(row.meta), frames_of(folder)
    if len(files) != source.frames:
        raise Misfit(f"{folder.name} holds {len(files)} numbered masks, and the video has {source.frames} frames")
    number = frame_numbers(row)
    shown = None if resample else source.shown
    wanted = {at: picture(files[at], (row.shape[1], row.shape[2]), shown) for at in np.unique(number).tolist()}
    return np.stack([wanted[at] for at in number.tolist()])


def frame_numbers(row: Row) -> np.ndarray:
    """`[T]` number of the source's frame that each cell along time shows.

    Raises:
        Misfit: frames come at uneven times, which numbers do not tell.
    """
    source = Header.of(row.meta)
    if source.variable:
        raise Misfit("frames of this video come at uneven times: labels by number need a folder of frames")
    times = (np.arange(row.shape[0]) + 0.5) * row.spacing[0]
    return np.floor((times + SOON) * source.fps).astype(int).clip(0, source.frames - 1)


def read_masks(folder: Path, size: tuple[int, int]) -> np.ndarray:
    """All masks of a folder (DAVIS `Annotations`: palette PNGs), nearest pixel: `[T, H, W]` integers.

    Args:
        folder: of numbered pictures whose values, or palette entries, are objects.
        size: height and width.

    Raises:
        Unreadable: no masks, or coloured pictures.
    """
    files = frames_of(folder)
    if not files:
        raise Unreadable(f"no numbered masks in {folder.name}")
    return np.stack([picture(path, size) for path in files])


def picture(path: Path, size: tuple[int, int], shown: tuple[int, int] | None = None) -> np.ndarray:
    """One mask picture: `[H, W]` integers.

    Args:
        path: of the picture.
        size: height and width it is scaled to, nearest pixel.
        shown: height and width it must have; None for any.

    Raises:
        Unreadable: damaged, or coloured; Misfit: of another size.
    """
    from PIL import Image

    try:
        with Image.open(path) as stored:
            if stored.mode not in ("P", "L", "1", "I;16"):
                raise Unreadable(f"{path.name} is a {stored.mode} picture: masks have one number a pixel")
            if shown is not None and (stored.height, stored.width) != tuple(shown):
                raise Misfit(
                    f"mask {path.name} has {stored.width}x{stored.height} pixels and its frame "
                    f"{shown[1]}x{shown[0]} (labels.resample=nearest scales it)"
                )
            resized: Any = stored.resize((size[1], size[0]), resample=Image.Resampling.NEAREST)
            return np.asarray(resized).astype(np.int16)
    except OSError as error:
        raise Unreadable(f"mask {path.name} is not a readable picture ({error})") from None


def read_points(row: Row, path: Path) -> Points:
    """The points of a video in its row's grid.

    The table has columns `frame` (counted from 0), `point` (a name), `x` and `y` (pixels of the upright frame from its
    upper left corner), and may have `visible` (0 or 1). What has no row is not visible.

    Raises:
        Misfit: it speaks of frames the video has not, or the video is a copy of another size.
        Unreadable: a column or a number is missing.
    """
    if row.meta.get("copy"):
        raise Misfit("points count pixels of the video itself, and this is a copy: give --data of the videos")
    try:
        table = read_table(path)
        columns = {name: table.column(name, "points") for name in _COLUMNS}
    except DataError as error:
        raise Unreadable(str(error)) from None
    source, names = Header.of(row.meta), tuple(dict.fromkeys(columns["point"]))
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
