"""HDF5: the arrays of a file by their names, as in NPZ; one cloud `[N, C]`, or several `[M, N, C]`.

Only what is asked for is read: of ScanObjectNN's or ModelNet40's files one cloud of thousands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.readers.array import cloud_from, header_from, places_among


def read_header(path: Path) -> Header:
    """Points, clouds and fields; the values of the first cloud tell what unnamed columns are.

    Raises:
        Unreadable: no such array, or it cannot be taken for points.
    """
    with _arrays(path) as arrays:
        return header_from(*places_among(arrays), format="hdf5")


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point of a cloud.

    Raises:
        Unreadable: it is damaged, or cloud `number` is not there.
    """
    with _arrays(path) as arrays:
        return cloud_from(*places_among(arrays), number, step)


@contextlib.contextmanager
def _arrays(path: Path) -> Iterator[dict[str, Any]]:
    """The datasets of a file's uppermost group, open, by lower-case name.

    Raises:
        Unreadable: h5py is not installed, or the file is no HDF5 file or damaged.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise Unreadable("HDF5 needs h5py: pip install 'ssl-platform-pointcloud[hdf5]'") from None
    try:
        with h5py.File(path, "r") as file:
            yield {name.lower(): value for name, value in file.items() if isinstance(value, h5py.Dataset)}
    except (OSError, RuntimeError, KeyError) as error:  # what h5py raises on damaged files
        raise Unreadable(f"not a readable HDF5 file ({' '.join(str(error).split())[:120]})") from None
