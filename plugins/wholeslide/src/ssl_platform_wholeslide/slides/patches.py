"""HDF5 files of patches, `[N, h, w, 3]` uint8: each patch is a slide of one level, opened by `FILE.h5#NUMBER`.

PatchCamelyon's `camelyonpatch_level_2_split_train_x.h5` is one. Such files store no scale.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Aside, Unreadable
from ssl_platform_wholeslide.slides.slide import Header, Region, Slide

SUFFIXES = (".h5", ".hdf5")


def holds_patches(path: Path) -> bool:
    """Whether a file is of this kind, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def patch_of(path: Path) -> tuple[Path, int] | None:
    """File and number of the patch that `FILE.h5#NUMBER` names, or None for other paths."""
    name, mark, number = path.name.rpartition("#")
    return (path.with_name(name), int(number)) if mark and number.isdigit() and holds_patches(Path(name)) else None


def count_patches(path: Path) -> tuple[int, Header]:
    """How many patches a file holds, and what each of them is.

    Raises:
        Unreadable: it is no HDF5 file, damaged, or h5py is not installed.
        Aside: it holds no patches: labels or masks that lie beside them.
    """
    with _patches(path) as stored:
        count, height, width, _ = stored.shape
        return int(count), _header(int(height), int(width))


def _header(height: int, width: int) -> Header:
    return Header("hdf5", ((height, width),), (1.0,), tiles=((height, width),))


class PatchReader(Slide):
    """One patch, read when it is opened.

    Args:
        path: of the file.
        number: of the patch in it, from 0.

    Raises:
        Unreadable: the file is damaged, holds no such patch, or h5py is not installed.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        with _patches(path) as stored:
            if number >= stored.shape[0]:
                raise Unreadable(f"holds {stored.shape[0]:,} patches, not {number + 1:,}")
            self._pixels = np.asarray(stored[number])
        self.header = _header(*self._pixels.shape[:2])

    def read(self, level: int, top: int, left: int, height: int, width: int) -> Region:
        """See `Slide.read`."""
        return Region(self._pixels[top : top + height, left : left + width])

    def close(self) -> None:
        """No file is open."""


@contextlib.contextmanager
def _patches(path: Path) -> Iterator[Any]:
    """The dataset of patches of a file, open: the only one of that shape and type."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise Unreadable("HDF5 needs h5py: pip install 'ssl-platform-wholeslide[hdf5]'") from None
    try:
        with h5py.File(path, "r") as file:
            stored = {name: value for name, value in file.items() if isinstance(value, h5py.Dataset)}
            found = [v for v in stored.values() if v.ndim == 4 and v.shape[3] == 3 and v.dtype == np.uint8]
            if len(found) > 1:
                raise Unreadable(f"several of its datasets ({', '.join(stored)}) hold pictures: keep one in a file")
            if not found:
                raise Aside("of HDF5 without pictures [N, h, w, 3] uint8")
            yield found[0]
    except (OSError, RuntimeError, KeyError) as error:  # what h5py raises on damaged files
        raise Unreadable(f"not a readable HDF5 file ({' '.join(str(error).split())[:120]})") from None
