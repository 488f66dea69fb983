"""Writers of the formats that are read: for sample data, doctor checks and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from ssl_platform_pointcloud.fields import COLOUR

_PLY_NAMES = {"u1": "uchar", "u2": "ushort", "i4": "int", "f4": "float", "f8": "double", "u4": "uint"}
Fields = Mapping[str, np.ndarray]


def _record(xyz: np.ndarray, fields: Fields, order: Literal["<", ">"] = "<") -> np.ndarray:
    """Coordinates as float32 and fields in their types, one record a point."""
    columns = {name: xyz[:, i].astype(f"{order}f4") for i, name in enumerate("xyz")} | dict(fields)
    kinds = [(name, values.dtype.newbyteorder(order)) for name, values in columns.items()]
    table = np.empty(len(xyz), dtype=kinds)
    for name, values in columns.items():
        table[name] = values
    return table


def write_ply(
    path: Path,
    xyz: np.ndarray,
    fields: Fields | None = None,
    *,
    encoding: Literal["ascii", "binary_little_endian", "binary_big_endian"] = "binary_little_endian",
    faces: np.ndarray | None = None,
) -> Path:
    """Write points `[N, 3]`, values by name, and triangles `[F, 3]`."""
    table = _record(xyz, fields or {}, ">" if "big" in encoding else "<")
    lines = ["ply", f"format {encoding} 1.0", f"element vertex {len(xyz)}"]
    lines += [f"property {_PLY_NAMES[table.dtype[name].str[1:]]} {name}" for name in table.dtype.names or ()]
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    with path.open("wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode())
        if encoding == "ascii":
            np.savetxt(file, _columns(table), fmt="%.9g")
            if faces is not None:
                np.savetxt(file, np.pad(faces, ((0, 0), (1, 0)), constant_values=3), fmt="%d")
        else:
            file.write(table.tobytes())
            if faces is not None:
                corner = np.empty(len(faces), [("n", "u1"), ("v", table.dtype[0].str[0] + "i4", 3)])
                corner["n"], corner["v"] = 3, faces
                file.write(corner.tobytes())
    return path


def write_pcd(
    path: Path,
    xyz: np.ndarray,
    fields: Fields | None = None,
    *,
    encoding: Literal["ascii", "binary", "binary_compressed"] = "binary",
    height: int = 1,
) -> Path:
    """Write points `[N, 3]` and values by name; red, green and blue are packed as `rgb`, as PCL does.

    Args:
        path: of the file.
        xyz: with NaN where an organised cloud has no point.
        fields: by name.
        encoding: of the points.
        height: rows of an organised cloud.
    """
    from ssl_platform_pointcloud.readers.lzf import compress

    columns = dict(fields or {})
    if set(COLOUR) <= columns.keys():
        red, green, blue = (columns.pop(name).astype(np.uint32) for name in COLOUR)
        columns["rgb"] = (red << 16 | green << 8 | blue).view(np.float32)
    table = _record(xyz, columns)
    names = table.dtype.names or ()
    kinds = [table.dtype[name] for name in names]
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        f"FIELDS {' '.join(names)}",
        f"SIZE {' '.join(str(kind.itemsize) for kind in kinds)}",
        f"TYPE {' '.join(kind.kind.upper() for kind in kinds)}",
        f"COUNT {' '.join('1' for _ in names)}",
        f"WIDTH {len(xyz) // height}",
        f"HEIGHT {height}",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {len(xyz)}",
        f"DATA {encoding}",
    ]
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        if encoding == "ascii":
            np.savetxt(file, _columns(table), fmt="%.9g")
        elif encoding == "binary":
            file.write(table.tobytes())
        else:
            plain = b"".join(np.ascontiguousarray(table[name]).tobytes() for name in names)
            packed = compress(plain)
            file.write(np.array([len(packed), len(plain)], "<u4").tobytes() + packed)
    return path


def _columns(table: np.ndarray) -> np.ndarray:
    return np.stack([table[name].astype(np.float64) for name in table.dtype.names or ()], axis=1)


def write_las(path: Path, xyz: np.ndarray, fields: Fields | None = None, *, metres: float | None = None) -> Path:
    """Write LAS, or LAZ where the name says so, with millimetre steps.

    Args:
        path: of the file.
        xyz: `[N, 3]`.
        fields: `intensity`, `red`, `green`, `blue`, `classification`.
        metres: length of the unit, told in a coordinate system; None tells none.
    """
    import laspy

    fields = fields or {}
    header = laspy.LasHeader(point_format=2 if "red" in fields else 0, version="1.2")
    header.offsets, header.scales = np.floor(xyz.min(axis=0)), np.full(3, 0.001)
    if metres is not None:
        system = f'PROJCS["local",GEOGCS["g",UNIT["degree",0.0174532925199433]],UNIT["unit",{metres!r}]]'
        header.vlrs.append(laspy.vlrs.known.WktCoordinateSystemVlr(system))
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = xyz.T
    for name, values in fields.items():
        cloud[name] = values
    cloud.write(str(path))
    return path


def write_text(path: Path, xyz: np.ndarray, fields: Fields | None = None, *, header: bool = True) -> Path:
    """Write a line a point: commas in CSV, else spaces; the header names the columns."""
    fields = fields or {}
    mark = "," if path.suffix.lower() == ".csv" else " "
    table = np.column_stack([xyz, *(values.astype(np.float64) for values in fields.values())])
    names = mark.join(("x", "y", "z", *fields)) if header else ""
    np.savetxt(path, table, fmt="%.7g", delimiter=mark, header=names, comments="" if mark == "," else "# ")
    return path


def write_mesh(path: Path, xyz: np.ndarray, faces: np.ndarray) -> Path:
    """Write triangles as OFF or OBJ, by the name's ending."""
    if path.suffix.lower() == ".off":
        corners = np.pad(faces, ((0, 0), (1, 0)), constant_values=3)
        lines = ["OFF", f"{len(xyz)} {len(faces)} 0"]
        lines += [" ".join(f"{v:.7g}" for v in point) for point in xyz]
        lines += [" ".join(map(str, row)) for row in corners.tolist()]
    else:
        lines = ["v " + " ".join(f"{v:.7g}" for v in point) for point in xyz]
        lines += ["f " + " ".join(str(v + 1) for v in row) for row in faces.tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
