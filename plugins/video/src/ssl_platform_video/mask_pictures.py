"""Mask pictures of a video, one a frame: in a folder (DAVIS `Annotations`), or in the archive they are packed as."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Misfit, Unreadable
from ssl_platform_video.readers.frames import frames_of

ARCHIVE = ".zip"
Files = list[Path] | list[zipfile.Path]


@contextlib.contextmanager
def pictures_of(path: Path) -> Iterator[Files]:
    """The numbered pictures of a folder or an archive, in natural order.

    Raises:
        Unreadable: a damaged archive.
    """
    if path.is_dir():
        yield frames_of(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield frames_of(zipfile.Path(archive))
    except zipfile.BadZipFile as error:
        raise Unreadable(f"the masks packed as {path.name} are damaged ({error})") from None


def write_archive(folder: Path, path: Path) -> Path:
    """Put the numbered pictures of a folder into one file, as they are; equal pictures give equal bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in frames_of(folder):
            archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes())  # without its time
    return path


def read_masks(path: Path, size: tuple[int, int]) -> np.ndarray:
    """All masks of a folder or archive (palette PNGs), nearest pixel: `[T, H, W]` integers.

    Args:
        path: of numbered pictures whose values, or palette entries, are objects.
        size: height and width.

    Raises:
        Unreadable: no masks, or coloured pictures.
    """
    with pictures_of(path) as files:
        if not files:
            raise Unreadable(f"no numbered masks in {path.name}")
        return np.stack([picture(file, size) for file in files])


def picture(path: Path | zipfile.Path, size: tuple[int, int], shown: tuple[int, int] | None = None) -> np.ndarray:
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
        with path.open("rb") as file, Image.open(file) as stored:
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
