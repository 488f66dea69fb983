"""PCD of the Point Cloud Library: ASCII, binary and binary_compressed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.fields import COORDINATES, canonical, unpack_colour
from ssl_platform_pointcloud.readers.numbers import table

_KINDS = {"F": "f", "U": "u", "I": "i"}
_PADDING = "_"
_LONGEST_HEADER = 1 << 14


@dataclass(frozen=True)
class _File:
    """The header: record of a point, number of points, sizes of the grid, encoding, and where the data begin."""

    record: np.dtype
    points: int
    height: int
    encoding: str
    start: int


def read_header(path: Path) -> Header:
    """Points and fields from the header.

    Raises:
        Unreadable: it is no PCD file, or lacks x, y or z.
    """
    file = _parse(path)
    names = [canonical(name) for name in _names(file.record)]
    if not set(COORDINATES) <= set(names):
        raise Unreadable(f"its points have no x, y and z (they have {', '.join(names) or 'nothing'})")
    rest: list[str] = []
    for name in names:
        if name not in COORDINATES:
            rest += ["red", "green", "blue"] if name in ("rgb", "rgba") else [name]
    size, need = path.stat().st_size, file.start + file.points * file.record.itemsize
    if file.encoding == "binary" and size < need:
        raise Unreadable(f"truncated: {size:,} of {need:,} bytes")
    return Header("pcd", file.points, fields=tuple(rest), organised=file.height > 1)


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point.

    Raises:
        Unreadable: it is truncated or damaged.
    """
    file = _parse(path)
    read_as = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}[file.encoding]
    columns = {canonical(name): values[::step] for name, values in read_as(path, file).items()}
    for name in ("rgb", "rgba"):
        if name in columns:
            columns.update(unpack_colour(columns.pop(name)))
    xyz = np.stack([np.asarray(columns.pop(axis), np.float64) for axis in COORDINATES], axis=1)
    return Cloud(xyz, columns)


def _names(record: np.dtype) -> list[str]:
    return [name for name in record.names or () if not name.startswith(_PADDING)]


def _parse(path: Path) -> _File:
    with path.open("rb") as stream:
        head = stream.read(_LONGEST_HEADER)
    found: dict[str, list[str]] = {}
    at = 0
    for line in head.splitlines(keepends=True):
        at += len(line)
        words = line.decode("ascii", "replace").split()
        if words and not words[0].startswith("#"):
            found[words[0].upper()] = words[1:]
            if words[0].upper() == "DATA":
                break
    if "DATA" not in found or "FIELDS" not in found:
        raise Unreadable("not a PCD file although its name says so")
    try:
        names, sizes, kinds = found["FIELDS"], found["SIZE"], found["TYPE"]
        counts = found.get("COUNT", ["1"] * len(names))
        record = np.dtype(
            [
                (name if name != _PADDING else f"{_PADDING}{i}", f"<{_KINDS[kind]}{size}", (int(count),))
                if int(count) != 1
                else (name if name != _PADDING else f"{_PADDING}{i}", f"<{_KINDS[kind]}{size}")
                for i, (name, size, kind, count) in enumerate(zip(names, sizes, kinds, counts, strict=True))
            ]
        )
        height = int(found.get("HEIGHT", ["1"])[0])
        points = int(found["POINTS"][0]) if "POINTS" in found else int(found["WIDTH"][0]) * height
        encoding = found["DATA"][0].lower()
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise Unreadable(f"its PCD header is damaged ({error!r})") from None
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise Unreadable(f"its PCD data are {encoding!r}: ascii, binary and binary_compressed are read")
    return _File(record, points, height, encoding, at)


def _ascii(path: Path, file: _File) -> dict[str, np.ndarray]:
    with path.open("rb") as stream:
        stream.seek(file.start)
        values = table(io.TextIOWrapper(stream, "ascii", errors="replace"), rows=file.points)
    width = sum(int(np.prod(file.record[name].shape)) for name in file.record.names or ())
    if values.shape[1] != width:
        raise Unreadable(f"damaged: {values.shape[1]} numbers a line, {width} promised")
    columns, at = {}, 0
    for name in file.record.names or ():
        kind = file.record[name]
        if not kind.shape and not name.startswith(_PADDING):
            columns[name] = values[:, at].astype(kind)  # packed colours are written as the number they are stored as
        at += int(np.prod(kind.shape))
    return columns


def _binary(path: Path, file: _File) -> dict[str, np.ndarray]:
    if path.stat().st_size < file.start + file.points * file.record.itemsize:
        raise Unreadable("truncated")
    table = np.memmap(path, file.record, "r", file.start, (file.points,))
    return {name: np.array(table[name]) for name in _names(file.record) if not file.record[name].shape}


def _compressed(path: Path, file: _File) -> dict[str, np.ndarray]:
    """All values of a field lie together before they are compressed."""
    from ssl_platform_pointcloud.readers.lzf import decompress

    with path.open("rb") as stream:
        stream.seek(file.start)
        sizes = np.frombuffer(stream.read(8), "<u4")
        packed = stream.read(int(sizes[0])) if len(sizes) == 2 else b""
    if len(sizes) < 2 or len(packed) < int(sizes[0]):
        raise Unreadable("truncated among its compressed data")
    if int(sizes[1]) != file.points * file.record.itemsize:
        raise Unreadable(f"damaged: {int(sizes[1]):,} bytes where {file.points:,} points need another number")
    plain = decompress(packed, int(sizes[1]))
    columns, at = {}, 0
    for name in file.record.names or ():
        kind = file.record[name]
        if not kind.shape and not name.startswith(_PADDING):
            columns[name] = np.frombuffer(plain, kind, file.points, at)
        at += file.points * kind.itemsize
    return columns
