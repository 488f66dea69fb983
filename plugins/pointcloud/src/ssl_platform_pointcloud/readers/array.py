"""NPY and NPZ: one cloud `[N, C]`, or several of one size `[M, N, C]`."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.fields import COLOUR, COORDINATES, NORMAL, canonical, label_of
from ssl_platform_pointcloud.readers.columns import columns_of

_HEADERS = threading.Lock()  # numpy parses headers with `ast`, whose state Python 3.11 shares among threads
_PLACES = ("points", "xyz", "coord", "coords", "pos", "positions", "pc", "point_cloud", "data", "arr_0")
_TRIPLES = {"colors": COLOUR, "color": COLOUR, "rgb": COLOUR, "normals": NORMAL, "normal": NORMAL}


def read_header(path: Path) -> Header:
    """Points, clouds and fields; the values tell what unnamed columns are.

    Raises:
        Unreadable: no such array, or it cannot be taken for points.
    """
    places, others = _load(path)
    clouds, points = (places.shape[0], places.shape[1]) if places.ndim == 3 else (1, places.shape[0])
    names = columns_of(places if places.ndim == 2 else places[0])
    rest = [name for name in names if name not in COORDINATES]
    for name, values in others.items():
        rest += [n for n in _spread(name, values, points, clouds) if n not in rest]
    return Header("npz" if path.suffix.lower() == ".npz" else "npy", points, clouds=clouds, fields=tuple(rest))


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point of a cloud.

    Raises:
        Unreadable: it is damaged, or cloud `number` is not there.
    """
    places, others = _load(path)
    clouds, points = (places.shape[0], places.shape[1]) if places.ndim == 3 else (1, places.shape[0])
    if number >= clouds:
        raise Unreadable(f"it holds {clouds} clouds, not {number + 1}")
    table = places[number] if places.ndim == 3 else places
    columns = {name: np.asarray(table[::step, i]) for i, name in enumerate(columns_of(table)) if name}
    for name, values in others.items():
        own = values[number] if clouds > 1 else values
        columns.update({n: v[::step] for n, v in _spread(name, own, points, 1).items()})
    xyz = np.stack([np.asarray(columns.pop(axis), np.float64) for axis in COORDINATES], axis=1)
    return Cloud(xyz, columns)


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
    if {"x", "y", "z"} <= arrays.keys():
        places = np.stack([arrays.pop(axis).reshape(-1) for axis in COORDINATES], axis=1)
        return places, arrays
    name = next((n for n in _PLACES if n in arrays), next(iter(arrays)) if len(arrays) == 1 else None)
    if name is None:
        raise Unreadable(f"none of its arrays ({', '.join(arrays)}) is called {', '.join(_PLACES[:5])} or x, y, z")
    places = arrays.pop(name)
    if places.ndim not in (2, 3) or not np.issubdtype(places.dtype, np.number) or np.iscomplexobj(places):
        raise Unreadable(f"array {name!r} is {places.dtype} of shape {places.shape}: points are [N, 3] or [M, N, 3]")
    if places.shape[-1] < 3:
        raise Unreadable(f"array {name!r} of shape {places.shape} has no three columns for x, y and z")
    return places, arrays


def _spread(name: str, values: np.ndarray, points: int, clouds: int) -> dict[str, np.ndarray]:
    """Columns of another array, if it has a row a point."""
    lead = (clouds, points) if clouds > 1 else (points,)
    if values.shape[: len(lead)] != lead:
        return {}
    names = _TRIPLES.get(name)
    if names is not None:
        return {n: values[..., i] for i, n in enumerate(names)} if values.shape[-1] >= 3 else {}
    if values.ndim > len(lead) and values.shape[-1] != 1:
        return {}
    word = canonical(name)
    return {label_of([word]) or word: values if values.ndim == len(lead) else values[..., 0]}
