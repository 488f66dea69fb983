"""Plain arrays: .npy, .npz and Zarr stores.

An array says neither how large its voxels are nor which way its axes point. Spacing comes from the file where it is
stored (`spacing` in a .npz or among a Zarr's attributes), from the manifest or from `data.spacing`; without any the
item is refused. Axes are D, H, W towards superior, anterior, right unless `data.array_axes` says otherwise; a fourth,
leading axis holds frames.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import affine_of_codes, check_affine
from ssl_platform_medical3d.readers.header import Header, check_not_empty, reading, volume_shape

SUFFIXES = (".npy", ".npz", ".zarr")
_NAMES = ("data", "image", "volume", "arr_0")
_HEADERS = threading.Lock()  # numpy parses headers with `ast`, whose state Python 3.11 shares among threads


def _open(path: Path) -> tuple[Any, Any]:
    """The array (lazy where the format allows) and its stored spacing or None."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with _HEADERS:
            return np.load(path, mmap_mode="r", allow_pickle=False), None
    if suffix == ".npz":
        with _HEADERS:
            store = np.load(path, allow_pickle=False)
            name = _choose(path, [key for key in store.files if key != "spacing"])
            return store[name], store["spacing"] if "spacing" in store.files else None
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
    except FileNotFoundError:
        raise Unreadable("not a readable Zarr store (no array in it)") from None
    if isinstance(node, zarr.Group):
        node = node[_choose(path, sorted(node.array_keys()))]
    return node, node.attrs.get("spacing")


def _choose(path: Path, names: list[str]) -> str:
    """The array that holds the volume: the only one, or the one with a usual name."""
    usual = [name for name in _NAMES if name in names]
    if len(names) == 1 or usual:
        return usual[0] if usual else names[0]
    raise Unreadable(f"holds {len(names)} arrays ({', '.join(names[:5])}): name the volume's {' or '.join(_NAMES)}")


def read_headers(path: Path) -> list[Header]:
    """The volume in one file or store, with unit spacing where none is stored.

    Raises:
        Unreadable: damaged, empty, 2-D, an object array, or with a spacing that is not three positive numbers.
    """
    kind = path.suffix.lower().lstrip(".")
    with reading(kind.upper() if kind != "zarr" else "Zarr"):
        if path.is_file():
            size = check_not_empty(path)
        else:
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        array, stored = _open(path)
        dtype = np.dtype(array.dtype)
        if dtype.kind not in "iufb":
            raise Unreadable(f"holds {dtype} values, not numbers")
        shape, frames = volume_shape(tuple(int(n) for n in array.shape), channel_last=False)
        spacing = (1.0, 1.0, 1.0)
        if stored is not None:
            values = [float(value) for value in np.ravel(stored)]
            if len(values) != 3 or not all(np.isfinite(values)) or min(values) <= 0:
                raise Unreadable(f"stores spacing {values}: three positive numbers in mm (z, y, x) are needed")
            spacing = (values[0], values[1], values[2])
        affine = affine_of_codes("SAR", spacing)
        check_affine(affine)
    header = Header(path, kind, shape, affine, dtype.name, frames, stored is not None, files=(path,), bytes=size)
    return [header]


def read_voxels(header: Header, frame: int | None = None) -> np.ndarray:
    """Values `[F, i, j, k]`; F is 1 where a `frame` is asked for.

    Raises:
        Unreadable: the data is truncated or damaged.
    """
    with reading(header.format):
        array, _ = _open(header.path)
        if len(array.shape) > 3 and frame is not None and header.frames > 1:
            return np.asarray(array[frame]).reshape(1, *header.shape)
        return np.asarray(array[...]).reshape(header.frames, *header.shape)
