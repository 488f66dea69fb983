"""PLY, ASCII and binary of either byte order: clouds, and meshes by their faces (Turk, 1994)."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.fields import COORDINATES, canonical
from ssl_platform_pointcloud.readers.numbers import table

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 16


@dataclass
class _Element:
    """An element of the header: its properties in order, lists as `(count type, value type)`."""

    name: str
    count: int
    properties: list[tuple[str, str | tuple[str, str]]] = field(default_factory=list)

    def dtype(self, order: str) -> np.dtype:
        """The record of one element without lists."""
        return np.dtype([(name, order + kind) for name, kind in self.properties if isinstance(kind, str)])

    @property
    def lists(self) -> bool:
        """Whether a property is a list."""
        return any(isinstance(kind, tuple) for _, kind in self.properties)


@dataclass
class _File:
    """The header of a file: byte order (empty for ASCII), elements, and where the data begin."""

    order: str
    elements: list[_Element]
    start: int

    def element(self, name: str) -> _Element | None:
        """The element of a name, or None."""
        return next((e for e in self.elements if e.name == name), None)


def read_header(path: Path) -> Header:
    """Points, fields and faces from the header.

    Raises:
        Unreadable: it is no PLY file, or lacks what a cloud needs.
    """
    file = _parse(path)
    vertex, face = file.element("vertex"), file.element("face")
    assert vertex is not None  # _parse refuses others
    names = [canonical(name) for name, _ in vertex.properties]
    if not set(COORDINATES) <= set(names):
        raise Unreadable(f"its vertices have no x, y and z (they have {', '.join(names) or 'nothing'})")
    _check_size(path, file)
    rest = tuple(name for name in names if name not in COORDINATES)
    return Header("ply", vertex.count, fields=rest, faces=face.count if face else 0)


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th vertex (all of them for meshes), with the triangles.

    Raises:
        Unreadable: it is truncated or damaged.
    """
    file = _parse(path)
    vertex, face = file.element("vertex"), file.element("face")
    assert vertex is not None
    mesh = face is not None and face.count > 0
    step = 1 if mesh else step
    _check_size(path, file)
    if not file.order:
        rows, faces = _read_ascii(path, file, vertex, face if mesh else None)
    else:
        rows, faces = _read_binary(path, file, vertex, face if mesh else None, step)
    columns = {canonical(name): values for name, values in rows.items()}
    xyz = np.stack([np.asarray(columns.pop(axis), np.float64) for axis in COORDINATES], axis=1)
    if not file.order:
        xyz, columns = xyz[::step], {name: values[::step] for name, values in columns.items()}
    return Cloud(xyz, columns, faces)


def _parse(path: Path) -> _File:
    with path.open("rb") as stream:
        head = stream.read(_LONGEST_HEADER)
    end = head.find(b"end_header")
    if not head.startswith(b"ply") or end < 0:
        raise Unreadable("not a PLY file although its name says so")
    start = head.find(b"\n", end) + 1
    order: str | None = None
    elements: list[_Element] = []
    try:
        for line in head[:end].decode("ascii", "replace").splitlines():
            words = line.split()
            if not words or words[0] in ("ply", "comment", "obj_info"):
                continue
            if words[0] == "format":
                order = _FORMATS[words[1]]
            elif words[0] == "element":
                elements.append(_Element(words[1], int(words[2])))
            elif words[0] == "property" and words[1] == "list":
                elements[-1].properties.append((words[4], (_TYPES[words[2]], _TYPES[words[3]])))
            elif words[0] == "property":
                elements[-1].properties.append((words[2], _TYPES[words[1]]))
    except (KeyError, IndexError, ValueError) as error:
        raise Unreadable(f"its PLY header is damaged ({error!r})") from None
    if order is None or not start or not any(e.name == "vertex" and not e.lists for e in elements):
        raise Unreadable("its PLY header lacks a format or plain vertices")
    return _File(order, elements, start)


def _check_size(path: Path, file: _File) -> None:
    """Binary files must be as long as their elements up to the vertices, and their plain elements, say."""
    if not file.order:
        return
    need = file.start
    for element in file.elements:
        if element.lists:
            need += element.count * sum(
                np.dtype(k[0] if isinstance(k, tuple) else k).itemsize for _, k in element.properties
            )
        else:
            need += element.count * element.dtype(file.order).itemsize
    size = path.stat().st_size
    if size < need:
        raise Unreadable(f"truncated: {size:,} of at least {need:,} bytes")


def _read_binary(
    path: Path, file: _File, vertex: _Element, face: _Element | None, step: int
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Vertices through a mapped file, so that skipped ones cost nothing, and triangles."""
    at, rows, faces = file.start, {}, None
    for element in file.elements:
        if element is vertex:
            table = np.memmap(path, element.dtype(file.order), "r", at, (element.count,))
            rows = {name: np.array(table[name][::step]) for name in table.dtype.names or ()}
            at += element.count * table.dtype.itemsize
            if face is None:
                break
        elif not element.lists:
            at += element.count * element.dtype(file.order).itemsize
        else:
            if element is not face and element.name != "face":
                raise Unreadable(f"the list element {element.name!r} stands before its faces: save it without")
            faces = _binary_faces(path, file, element, at)
            break
    return rows, faces


def _binary_faces(path: Path, file: _File, face: _Element, at: int) -> np.ndarray:
    """`[F, 3]` triangles; polygons become fans."""
    triangle = np.dtype(
        [
            part
            for name, kind in face.properties
            for part in (
                [(f"{name}#", file.order + kind[0]), (name, file.order + kind[1], 3)]
                if isinstance(kind, tuple)
                else [(name, file.order + kind)]
            )
        ]
    )
    size = path.stat().st_size - at
    lists = [name for name, kind in face.properties if isinstance(kind, tuple)]
    if size >= face.count * triangle.itemsize:
        table = np.memmap(path, triangle, "r", at, (face.count,))
        if all(bool((table[f"{name}#"] == 3).all()) for name in lists):
            return np.array(table[lists[0]], dtype=np.int64)
    return _polygons(path, file, face, at)


def _polygons(path: Path, file: _File, face: _Element, at: int) -> np.ndarray:
    with path.open("rb") as stream:
        stream.seek(at)
        content = stream.read()
    place, fans = 0, []
    try:
        for _ in range(face.count):
            corners: np.ndarray | None = None
            for _, kind in face.properties:
                if isinstance(kind, tuple):
                    count_type, value_type = np.dtype(file.order + kind[0]), np.dtype(file.order + kind[1])
                    count = int(np.frombuffer(content, count_type, 1, place)[0])
                    place += count_type.itemsize
                    values = np.frombuffer(content, value_type, count, place)
                    place += count * value_type.itemsize
                    corners = values if corners is None else corners
                else:
                    place += np.dtype(kind).itemsize
            fans.append(_fan(corners))
    except (ValueError, IndexError):
        raise Unreadable("truncated or damaged among its faces") from None
    return np.concatenate(fans) if fans else np.empty((0, 3), np.int64)


def _fan(corners: np.ndarray | None) -> np.ndarray:
    if corners is None or len(corners) < 3:
        return np.empty((0, 3), np.int64)
    corners = np.asarray(corners, np.int64)
    return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)


def _read_ascii(
    path: Path, file: _File, vertex: _Element, face: _Element | None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    rows: dict[str, np.ndarray] = {}
    faces: np.ndarray | None = None
    with path.open("rb") as stream:
        stream.seek(file.start)
        text = io.TextIOWrapper(stream, "ascii", errors="replace")
        for element in file.elements:
            lines = itertools.islice(text, element.count)
            if element is vertex:
                values = table(lines, rows=element.count)
                if values.shape[1] != len(vertex.properties):
                    raise Unreadable(f"damaged: {values.shape[1]} numbers a line, {len(vertex.properties)} promised")
                rows = {n: values[:, i].astype(str(kind)) for i, (n, kind) in enumerate(vertex.properties)}
                if face is None:
                    break
            elif element is face:
                faces = _ascii_faces([line.split() for line in lines], face)
            else:
                for _ in lines:
                    pass
    return rows, faces


def _ascii_faces(lines: list[list[str]], face: _Element) -> np.ndarray:
    at = next(i for i, (_, kind) in enumerate(face.properties) if isinstance(kind, tuple))
    try:
        fans = [_fan(np.array(words[at + 1 : at + 1 + int(words[at])], np.int64)) for words in lines]
    except (ValueError, IndexError):
        raise Unreadable("damaged among its faces") from None
    if len(lines) < face.count:
        raise Unreadable(f"truncated: {len(lines):,} of {face.count:,} faces")
    return np.concatenate(fans)
