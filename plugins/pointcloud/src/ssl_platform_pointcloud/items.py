"""From files to catalog rows.

A row carries what is needed to say its final shape and channels under other options without opening the file again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.fields import COLOUR, COORDINATES, FEATURES, NORMAL, colour_range, features_of, label_of
from ssl_platform_pointcloud.options import METRES, PointCloudOptions
from ssl_platform_pointcloud.readers import header_of, read_cloud, reader_of
from ssl_platform_pointcloud.readers.mesh import surface_points


def rows_of(path: Path, options: PointCloudOptions) -> Iterator[Row]:
    """A row for each cloud of a file.

    Formats that may hold NaN are read to the end, since only what is finite counts; of LAS the first points.

    Raises:
        Unreadable: nothing (or not all) of it can be used.
    """
    header = header_of(path)
    for number in range(header.clouds):
        step = step_of(header.points, options)
        mesh = header.faces > 0 and options.mesh == "surface"
        if mesh:
            cloud = load(path, number, step, options, mesh=True)
            count = options.mesh_points
        elif header.finite:
            cloud = reader_of(path).sample_of(path)
            count = -(-header.points // step)
        else:
            cloud = load(path, number, step, options)
            count = len(cloud.xyz)
        yield _row(path, header, number, cloud, count, step, mesh, options)


def step_of(points: int, options: PointCloudOptions) -> int:
    """Every how many points of a file one is kept, so that `data.max_points` suffices."""
    return -(-points // options.max_points)


def load(path: Path, number: int, step: int, options: PointCloudOptions, *, mesh: bool = False) -> Cloud:
    """The finite points of a cloud.

    Raises:
        Unreadable: it is damaged, or too few points are left.
    """
    cloud = read_cloud(path, number, step)
    if mesh:
        return surface_points(cloud, options.mesh_points)
    finite = np.isfinite(cloud.xyz).all(axis=1)
    kept = int(finite.sum())
    if kept < options.min_points:
        nan = f" ({len(finite) - kept:,} more are NaN)" if kept < len(finite) else ""
        raise Unreadable(f"{kept} points{nan}: fewer than data.min_points={options.min_points}")
    return cloud if kept == len(finite) else cloud.select(finite)


def _row(
    path: Path,
    header: Header,
    number: int,
    cloud: Cloud,
    count: int,
    step: int,
    mesh: bool,
    options: PointCloudOptions,
) -> Row:
    low, high = cloud.xyz.min(axis=0), cloud.xyz.max(axis=0)
    if not (high > low).any():
        raise Unreadable(f"all its {count:,} points lie in one place")
    names = (*NORMAL,) if mesh else tuple(name for name in header.fields if not _unfilled(name, cloud))
    meta: dict[str, Any] = {
        "format": header.format,
        "points": count,
        "fields": " ".join(names),
        "organised": header.organised,
        "number": number,
        "step": step,
        "mesh": mesh,
    }
    if header.unit is not None:
        meta["metres"] = " ".join(f"{m:.9g}" for m in header.unit)
    if set(COLOUR) <= set(cloud.fields):
        values = [cloud.fields[name] for name in COLOUR]
        meta["colour_max"] = colour_range(max(float(np.nanmax(v)) for v in values), str(values[0].dtype))
    if not mesh and header.points > count * step:
        meta["dropped"] = header.points // step - count
    notes = _notes(header, "dropped" in meta)
    if notes:
        meta["note"] = "; ".join(notes)
    return Row(
        id=f"{number:04d}" if header.clouds > 1 else path.name,
        path=str(path),
        shape=(count,),
        channels=COORDINATES,
        bytes=path.stat().st_size // header.clouds,
        meta=meta,
    )


def _notes(header: Header, dropped: bool) -> list[str]:
    """What was decided about a file and is not usual."""
    notes = [f"one of {header.clouds} clouds of {header.points:,} points in one array"] if header.clouds > 1 else []
    return [*notes, "points that are NaN or infinite are left out"] if dropped else notes


def _unfilled(name: str, cloud: Cloud) -> bool:
    """Whether a feature is zero throughout: the point formats of LAS have fields that many scanners leave empty."""
    return name in FEATURES and name in cloud.fields and not np.any(cloud.fields[name])


def fit(row: Row, options: PointCloudOptions) -> Row:
    """The row under the options and its manifest columns: cells of `thin` points each, and its channels.

    Raises:
        Unreadable: a manifest column has no such unit or axis.
    """
    metres_of(row, options)
    up_of(row, options)
    wanted = None if options.features == "auto" else options.features
    names = str(row.meta["fields"]).split()
    label = label_field(row, options)
    features = [name for name in features_of(names, wanted) if name != label]
    thin = options.thin if isinstance(options.thin, int) else 1
    # `--labels field:label`, or the field's own name, asks for the labels of points, which lie in the file itself.
    parts = {} if label is None or row.meta.get("mesh") else dict.fromkeys(("label", label), row.path)
    return row.replace(
        shape=(-(-whole(row, "points") // thin),), channels=(*COORDINATES, *features), parts={**row.parts, **parts}
    )


def whole(row: Row, name: str) -> int:
    """A whole number among a row's facts."""
    return int(str(row.meta[name]))


def label_field(row: Row, options: PointCloudOptions) -> str | None:
    """The field of a row's file that holds labels of points, or None."""
    names = str(row.meta["fields"]).split()
    if options.label_field == "auto":
        return label_of(names)
    return options.label_field if options.label_field in names else None


def metres_of(row: Row, options: PointCloudOptions) -> tuple[float, float, float]:
    """Metres per unit along x, y, z: the manifest's column, `data.unit`, the file's, else 1.

    Raises:
        Unreadable: the manifest names another unit.
    """
    word = str(row.meta.get("unit") or options.unit)
    if word != "auto":
        if word not in METRES:
            raise Unreadable(f"manifest column 'unit' is {word!r}: {', '.join(METRES)} are known")
        return (METRES[word],) * 3
    x, y, z = map(float, str(row.meta.get("metres") or "1 1 1").split())
    return x, y, z


def up_of(row: Row, options: PointCloudOptions) -> str:
    """The axis of the file that points up: the manifest's column, z for LAS, `data.up`; else by the kind of cloud.

    Organised clouds are taken by a depth sensor, whose y points down; others are taken to have z up.

    Raises:
        Unreadable: the manifest names no axis.
    """
    word = str(row.meta.get("up") or ("z" if row.meta.get("format") == "las" else options.up))
    if word in ("auto", "none"):
        word = "-y" if row.meta.get("organised") else "z"
    if word not in ("x", "y", "z", "-x", "-y", "-z"):
        raise Unreadable(f"manifest column 'up' is {word!r}: x, y, z, -x, -y and -z are known")
    return word
