"""Open raster files, pooled: opening costs as much as eighteen small windows, so files stay open, but only so many.

A pool belongs to one thread of one process. After a fork the child opens its own: GDAL's handles and locks must not be
used by two processes, so what it inherited is neither used nor closed there.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.errors import Unreadable

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

LIMIT = 128
# Sidecar files are looked for by name instead of listing the folder, which is slow beside thousands of chips; the block
# cache is bounded in every worker instead of taking a share of all memory.
SETTINGS: dict[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE", "GDAL_CACHEMAX": 128 << 20}
_PART = "/vsisubfile/"
_inherited: list[Any] = []
_Key = tuple[str, bool, float | None]


class Pool:
    """Open files, least recently used first out.

    Args:
        limit: files open at once.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit, self.process = limit, os.getpid()
        self._open: OrderedDict[_Key, tuple[tuple[int, int], tuple[Any, ...]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, path: str, warped: bool = False, nodata: float | None = None) -> DatasetReader:
        """The open file, or a view of it: north up, or with a value that stands for no data.

        Raises:
            Unreadable: it is gone or damaged.
        """
        if self.process != os.getpid():
            _inherited.append(self._open)
            self._open, self.process = OrderedDict(), os.getpid()
        state, key = _state(path), (path, warped, nodata)
        known = self._open.pop(key, None)
        if known is not None and known[0] != state:  # the file was written anew
            _close(known[1])
            known = None
        handles = known[1] if known is not None else open_raster(path, warped, nodata)
        self._open[key] = state, handles
        while len(self._open) > self.limit:
            _close(self._open.popitem(last=False)[1][1])
        return handles[0]


def _state(path: str) -> tuple[int, int]:
    """Size and time of change of a file, so that an open handle never shows what is no longer there."""
    try:
        found = os.stat(file_of(path))  # noqa: PTH116 - once a window
    except OSError:
        raise Unreadable(f"{Path(path).name} is no longer there") from None
    return found.st_size, found.st_mtime_ns


def within(file: Path, offset: int, length: int) -> str:
    """A part of a file as GDAL opens it."""
    return f"{_PART}{offset}_{length},{file}"


def file_of(path: str) -> str:
    """The file on disk of a path, which may name a part of one."""
    return path.partition(",")[2] if path.startswith(_PART) else path


def _close(handles: tuple[Any, ...]) -> None:
    for handle in handles:
        handle.close()


class _Pools(threading.local):
    def __init__(self) -> None:
        self.pool = Pool()


_pools = _Pools()


def pooled(path: str, warped: bool = False, nodata: float | None = None) -> DatasetReader:
    """The file, from the pool of this thread; `open_raster` explains the rest.

    Raises:
        Unreadable: it is gone or damaged.
    """
    return _pools.pool.get(path, warped, nodata)


def open_raster(path: str, warped: bool = False, nodata: float | None = None) -> tuple[Any, ...]:
    """Open a file, and over it a view with north up in its own coordinate system where asked for.

    Args:
        path: of the file.
        warped: whether to turn it north up.
        nodata: stored value that means no data although the file does not say so: a view on the same grid that does,
            so that such cells do not flow into what is interpolated or averaged.

    Returns:
        What to read from first, then what else must be closed.

    Raises:
        Unreadable: it cannot be opened.
    """
    import warnings

    import rasterio
    from rasterio.enums import ColorInterp
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.vrt import WarpedVRT

    try:
        with warnings.catch_warnings(), rasterio.Env(**SETTINGS):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            source = rasterio.open(path)
            handles: tuple[Any, ...] = (source,)
            if warped:
                crs = source.crs or source.gcps[1]
                beyond = source.nodata is None and ColorInterp.alpha not in source.colorinterp  # marks what lies there
                handles = (WarpedVRT(source, crs=crs, src_crs=crs, add_alpha=beyond), source)
            return handles if nodata is None else (_saying(handles[0], nodata), *handles)
    except (RasterioError, OSError) as error:
        if not Path(file_of(path)).exists():
            raise Unreadable(f"{Path(path).name} is no longer there") from None
        raise Unreadable(f"{Path(path).name} is no raster file, or a damaged one ({_short(error, path)})") from None


def _saying(source: Any, nodata: float) -> Any:
    """The same cells with a value that is said to mean no data."""
    from affine import Affine
    from rasterio.vrt import WarpedVRT

    # A view needs a coordinate system and north up; where there is none, any will do.
    crs, grid = (source.crs, source.transform) if source.crs else ("EPSG:3857", Affine(1, 0, 0, 0, -1, 0))
    same = {"transform": grid, "width": source.width, "height": source.height}
    return WarpedVRT(source, src_crs=crs, crs=crs, src_transform=grid, src_nodata=nodata, nodata=nodata, **same)


@contextmanager
def opened(path: str, warped: bool = False) -> Iterator[DatasetReader]:
    """The file opened for this once, as scans do from several threads."""
    handles = open_raster(path, warped)
    try:
        yield handles[0]
    finally:
        _close(handles)


def _short(error: Exception, path: str) -> str:
    """The cause without the path, one short line."""
    text = str(error).replace(path, "").replace(f"{Path(path).name}: ", "")
    return " ".join(text.split()).strip(" '`:")[:120]
