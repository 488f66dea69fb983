"""NPY and NPZ, and named arrays of any other file: one cloud `[N, C]`, or several of one size `[M, N, C]`."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.fields import COLOUR, COORDINATES, NORMAL, canonical, label_of
from ssl_platform_pointcloud.readers.columns import columns_of

Stored = Any  # an array in memory, in a mapped file, or a dataset of HDF5: shape, dtype, ndim and indexing
_HEADERS = threading.Lock()  # numpy parses headers with `ast`, whose state Python 3.11 shares among threads
_PLACES = ("points", "xyz", "coord", "coords", "pos", "positions", "pc", "point_cloud", "data", "arr_0")
_TRIPLES = {"colors": COLOUR, "color": COLOUR, "rgb": COLOUR, "normals": NORMAL, "normal": NORMAL}


def read_header(path: Path) -> Header:
    """Points, clouds and fields; the values tell what unnamed columns are.

    Raises:
        Unreadable: no such array, or it cannot be taken for points.
    """
    return header_from(*_load(path), format="npz" if path.suffix.lower() == ".npz" else "npy")


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point of a cloud.

    Raises:
        Unreadable: it is damaged, or cloud `number` is not there.
    """
    return cloud_from(*_load(path), number, step)


def header_from(places: Stored, others: Mapping[str, Stored], format: str) -> Header:
    """What named arrays say of their clouds.

    Args:
        places: `[N, C]` or `[M, N, C]` coordinates, further columns included.
        others: the other arrays, by name.
        format: of the file.

    Raises:
        Unreadable: they cannot be taken for points.
    """
    clouds, points = _counts(places)
    first = np.asarray(places[0] if places.ndim == 3 else places)
    rest = [name for name in columns_of(first) if name not in COORDINATES]
    for name, values in others.items():
        rest += [n for n in _spread(name, _of_cloud(values, 0, clouds), points) if n not in rest]
    return Header(format, points, clouds=clouds, fields=tuple(rest))


def cloud_from(places: Stored, others: Mapping[str, Stored], number: int, step: int) -> Cloud:
    """Every `step`-th point of one of the clouds that named arrays hold; arguments as of `header_from`.

    Raises:
        Unreadable: cloud `number` is not there.
    """
    clouds, points = _counts(places)
    if number >= clouds:
        raise Unreadable(f"it holds {clouds} clouds, not {number + 1}")
    table = np.asarray(places[number]) if places.ndim == 3 else np.asarray(places)
    columns = {name: np.asarray(table[::step, i]) for i, name in enumerate(columns_of(table)) if name}
    for name, values in others.items():
        own = _of_cloud(values, number, clouds)
        columns.update({n: v[::step] for n, v in _spread(name, own, points).items()})
    xyz = np.stack([np.asarray(columns.pop(axis), np.float64) for axis in COORDINATES], axis=1)
    return Cloud(xyz, columns)


def _counts(places: Stored) -> tuple[int, int]:
    """How many clouds, and points in each."""
    return (places.shape[0], places.shape[1]) if places.ndim == 3 else (1, places.shape[0])


def _of_cloud(values: Stored, number: int, clouds: int) -> np.ndarray:
    """What belongs to one cloud of an array; nothing where the array has no entry a cloud."""
    if clouds == 1:
        return np.asarray(values)
    return np.asarray(values[number]) if values.shape[:1] == (clouds,) else np.empty(0)


def _load(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The array of coordinates (further columns included) and the other arrays of the file."""
    try:
        with _HEADERS:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(stored, np.ndarray):
            arrays = {"points": stored}
        else:
            with stored:
                arrays = {name.lower(): stored[name] for name in stored.files}
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        why = " ".join(str(error).split())[:120]
        if "pickle" in why:
            raise Unreadable("it holds Python objects, which are not read: save plain arrays") from None
        raise Unreadable(f"not a readable {path.suffix[1:].upper()} file ({why})") from None
    return places_among(arrays)


def places_among(arrays: dict[str, Stored]) -> tuple[Stored, dict[str, Stored]]:
    """The array of coordinates (further columns included) and the others.

    Args:
        arrays: by lower-case name, read where they are indexed.

    Raises:
        Unreadable: none can be taken for points.
    """
    if {"x", "y", "z"} <= arrays.keys():
        places = np.stack([np.asarray(arrays.pop(axis)).reshape(-1) for axis in COORDINATES], axis=1)
        return places, arrays
    name = next((n for n in _PLACES if n in arrays), next(iter(arrays)) if len(arrays) == 1 else None)
    if name is None:
        raise Unreadable(f"none of its arrays ({', '.join(arrays)}) is called {', '.join(_PLACES[:5])} or x, y, z")
    chosen = arrays.pop(name)
    if chosen.ndim not in (2, 3) or chosen.dtype.kind not in "iuf":
        raise Unreadable(f"array {name!r} is {chosen.dtype} of shape {chosen.shape}: points are [N, 3] or [M, N, 3]")
    if chosen.shape[-1] < 3:
        raise Unreadable(f"array {name!r} of shape {chosen.shape} has no three columns for x, y and z")
    return chosen, arrays


def _spread(name: str, values: np.ndarray, points: int) -> dict[str, np.ndarray]:
    """Columns of another array of one cloud, if it has a row a point."""
    if values.shape[:1] != (points,):
        return {}
    names = _TRIPLES.get(name)
    if names is not None:
        return {n: values[..., i] for i, n in enumerate(names)} if values.shape[-1] >= 3 else {}
    if values.ndim > 1 and values.shape[-1] != 1:
        return {}
    word = canonical(name)
    return {label_of([word]) or word: values if values.ndim == 1 else values[..., 0]}
