"""A cloud in the order and the frame its windows are read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.data.order import hashed
from ssl_platform.data.prepared import Prepared
from ssl_platform.errors import Unreadable
from ssl_platform.types import Part, Row, Window
from ssl_platform_pointcloud.cloud import Cloud
from ssl_platform_pointcloud.fields import COLOUR, NORMAL
from ssl_platform_pointcloud.items import load, metres_of, up_of, whole
from ssl_platform_pointcloud.options import PointCloudOptions
from ssl_platform_pointcloud.order import along_curve, shuffled

_LOOK = 100_000


def upright(up: str) -> np.ndarray:
    """`[3, 3]` rotation that turns the axis `up` of a file to z, with no mirror image."""
    axis = "xyz".index(up[-1])
    z = np.eye(3)[axis] * (-1.0 if up[0] == "-" else 1.0)
    x = np.eye(3)[0 if axis != 0 else 1]
    return np.stack([x, np.cross(z, x), z])


def prepare(row: Row, options: PointCloudOptions) -> Prepared:
    """All points of an item: float32, upright, centred, scaled, ordered, in cells of `data.thin` neighbours.

    Returns:
        data `[thin * C, cells]`: the C channels of the first point of every cell, then of the second, and so on. The
        last cell repeats earlier points where it lacks some.

    Raises:
        Unreadable: it is damaged, or no longer what was scanned.
    """
    cloud = load(Path(row.path), whole(row, "number"), whole(row, "step"), options, mesh=bool(row.meta["mesh"]))
    points = whole(row, "points")
    if len(cloud.xyz) != points:
        raise Unreadable(f"{len(cloud.xyz):,} points where {points:,} were scanned: it changed, or is truncated")
    turn, metres = upright(up_of(row, options)), metres_of(row, options)
    xyz, centre = in_frame(cloud.xyz, row, options)
    radius = float(np.sqrt(np.square(xyz).sum(axis=1).max()))
    scale = 1.0 / radius if options.scale == "unit" else 1.0
    table = np.concatenate([xyz * scale, features(cloud, row.channels[3:], turn, options)], axis=1, dtype=np.float32)
    order = point_order(xyz, row, options)
    cells = len(order)
    extent = xyz.max(axis=0) - xyz.min(axis=0)
    data = table[order]
    return Prepared(
        np.ascontiguousarray(data.transpose(1, 2, 0)).reshape(-1, cells),
        channels=row.channels,
        facts={
            "extent": float(extent.max()),
            "middle": middle(xyz) / float(extent.max()),
            "grain": grain(xyz) / float(extent.max()),
            "away": float(np.abs(centre).max()) / float(extent.max()),
            "repeated": 1.0 - len(np.unique(xyz[order.ravel()[:_LOOK]], axis=0)) / min(order.size, _LOOK),
        },
        geometry={"centre": centre.tolist(), "scale": scale, "turn": turn.ravel().tolist(), "metres": list(metres)},
    )


def middle(xyz: np.ndarray) -> float:
    """Extent of the points without the outermost hundredth along each axis."""
    low, high = np.percentile(xyz[:: max(1, len(xyz) // _LOOK)], (0.5, 99.5), axis=0)
    return float((high - low).max())


def grain(xyz: np.ndarray) -> float:
    """The coarsest step between neighbouring values along an axis; axes without extent do not count."""
    steps = [np.diff(np.unique(axis)) for axis in xyz[:_LOOK].T]
    return max((float(step.min()) for step in steps if len(step)), default=0.0)


def in_frame(xyz: np.ndarray, row: Row, options: PointCloudOptions) -> tuple[np.ndarray, np.ndarray]:
    """Points in metres with z up, from the middle of their box, and that middle `[3]` in metres with z up.

    Kept in float64 until here: in metres from a far origin, float32 would round to centimetres.
    """
    turned = (xyz * metres_of(row, options)) @ upright(up_of(row, options)).T
    centre = (turned.min(axis=0) + turned.max(axis=0)) / 2
    return turned - centre, centre


def point_order(xyz: np.ndarray, row: Row, options: PointCloudOptions) -> np.ndarray:
    """`[cells, thin]` which points of an item each of its cells holds; the last one repeats the last point.

    Args:
        xyz: `[N, 3]` from `in_frame`.
        row: gives the number of cells.
        options: kind and thinning.
    """
    order = along_curve(xyz) if options.kind == "scenes" else shuffled(len(xyz))
    (cells,), thin = row.shape, _thin(options)
    return np.pad(order, (0, cells * thin - len(order)), mode="edge").reshape(cells, thin)


def features(cloud: Cloud, names: tuple[str, ...], turn: np.ndarray, options: PointCloudOptions) -> np.ndarray:
    """`[N, F]` float32: colours in [0, 1], normals of length one in the upright frame, the rest as stored.

    Values that are not finite become the mean of the others.
    """
    columns = []
    for name in names:
        if name not in cloud.fields:
            raise Unreadable(f"its field {name!r} is gone: it changed since it was scanned")
        values = np.asarray(cloud.fields[name], dtype=np.float32)
        finite = np.isfinite(values)
        if not finite.all():
            values = np.where(finite, values, values[finite].mean() if finite.any() else 0.0)
        if name in COLOUR and isinstance(options.colour_max, float):
            values = values / np.float32(options.colour_max)
        columns.append(values)
    table = np.stack(columns, axis=1) if columns else np.empty((len(cloud.xyz), 0), np.float32)
    if set(NORMAL) <= set(names):
        own = [names.index(name) for name in NORMAL]
        normal = table[:, own] @ turn.T.astype(np.float32)
        table[:, own] = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    return table


def read(prepared: Prepared, row: Row, window: Window, options: PointCloudOptions) -> Part:
    """One point of every cell of a window: the first with key 0, else another one each time.

    Args:
        prepared: from `prepare`.
        row: its row.
        window: a range of cells; what lies outside the item is zero and invalid.
        options: the domain's.
    """
    (start,), (size,), (cells,) = window.start, window.size, row.shape
    first, last = max(start, 0), min(start + size, cells)
    count, width = max(0, last - first), len(row.channels)
    data = np.zeros((size, width), dtype=np.float32)
    if count:
        thin = _thin(options)
        stored = np.asarray(prepared.data[:, first:last]).reshape(thin, width, count)
        chosen = hashed(window.key, np.arange(first, last)) % np.uint64(thin) if window.key else np.zeros(count)
        picked = stored[chosen.astype(np.int64), :, np.arange(count)]
        data[first - start : last - start] = picked
    valid = np.zeros(size, dtype=bool)
    valid[first - start : first - start + count] = True
    return Part(data, None if count == size else valid, row.channels)


def _thin(options: PointCloudOptions) -> int:
    return options.thin if isinstance(options.thin, int) else 1
