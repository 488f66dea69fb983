"""One module a format; `header_of` and `read_cloud` find the one for a path.

A reader module has `read_header(path) -> Header` and `read(path, number, step) -> Cloud`: every `step`-th point of
cloud `number`. Modules import their libraries when a file is read.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header

T = TypeVar("T")

_MODULE_OF_SUFFIX = {
    ".ply": "ply",
    ".pcd": "pcd",
    ".las": "las",
    ".laz": "las",
    ".npy": "array",
    ".npz": "array",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".xyz": "text",
    ".txt": "text",
    ".csv": "text",
    ".pts": "text",
    ".asc": "text",
    ".off": "mesh",
    ".obj": "mesh",
    ".stl": "mesh",
}
SUFFIXES = tuple(_MODULE_OF_SUFFIX)
TEXT_SUFFIXES = tuple(suffix for suffix, module in _MODULE_OF_SUFFIX.items() if module == "text")


def reader_of(path: Path) -> ModuleType:
    """The reader module for a file name.

    Raises:
        Unreadable: no format known here.
    """
    module = _MODULE_OF_SUFFIX.get(path.suffix.lower())
    if module is None:
        raise Unreadable(f"not a point cloud format ({', '.join(SUFFIXES)} are)")
    return importlib.import_module(f"ssl_platform_pointcloud.readers.{module}")


def header_of(path: Path) -> Header:
    """What the file says of its clouds.

    Raises:
        Unreadable: it is not what its name says, or damaged.
    """
    found: Header = _plainly(lambda: reader_of(path).read_header(path))
    if found.points < 1:
        raise Unreadable("it holds no points")
    return found


def read_cloud(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point of a cloud of the file.

    Raises:
        Unreadable: it is truncated or damaged.
    """
    found: Cloud = _plainly(lambda: reader_of(path).read(path, number, step))
    return found


def _plainly(call: Callable[[], T]) -> T:
    """What `call` returns, with the errors of files in one line."""
    try:
        return call()
    except PermissionError:
        raise Unreadable("permission denied: make it readable (chmod u+r)") from None
    except FileNotFoundError:
        raise Unreadable("it is no longer there") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None
