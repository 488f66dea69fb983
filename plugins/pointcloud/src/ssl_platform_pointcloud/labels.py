"""Labels of points, and how well predicted ones fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ssl_platform.data.files import replace_file
from ssl_platform.errors import Misfit, Unreadable
from ssl_platform.types import Row
from ssl_platform_pointcloud.fields import label_of
from ssl_platform_pointcloud.items import load, step_of, whole
from ssl_platform_pointcloud.options import PointCloudOptions
from ssl_platform_pointcloud.prepare import in_frame, point_order
from ssl_platform_pointcloud.readers import header_of, read_cloud


def read_labels(row: Row, path: Path, options: PointCloudOptions) -> np.ndarray:
    """`[cells]` int64 labels of the first point of every cell, as windows without a key read it.

    Args:
        row: the item.
        path: its own file, or another with the same points in the same order.
        options: `label_field` names the field.

    Raises:
        Unreadable: the file has no labels.
        Misfit: it has other points.
    """
    if row.meta.get("mesh"):
        raise Unreadable("points drawn on a mesh have no labels of their own")
    header = header_of(path)
    name = label_of(header.fields) if options.label_field == "auto" else options.label_field
    if name not in header.fields:
        raise Unreadable(
            f"no field {name or 'of labels'} (it has {', '.join(header.fields) or 'none'}): data.label_field"
        )
    number, own = whole(row, "number"), Path(row.path)
    step = step_of(header.points, options)
    cloud = read_cloud(path, number, step)
    finite = np.isfinite(cloud.xyz).all(axis=1)
    if int(finite.sum()) != whole(row, "points"):
        raise Misfit(f"{int(finite.sum()):,} points, {own.name} has {whole(row, 'points'):,}")
    values = np.asarray(cloud.fields[str(name)])[finite]
    if not np.array_equal(values, values.astype(np.int64)):
        raise Unreadable(f"its field {name} holds fractions: not labels")
    return values.astype(np.int64)[point_order(in_frame(cloud.xyz[finite], row, options)[0], row, options)[:, 0]]


def write_labels(row: Row, prediction: np.ndarray, path: Path, options: PointCloudOptions) -> Path:
    """Write the finite points of an item in their own order and units, and the label predicted for each.

    Args:
        row: the item.
        prediction: `[cells]` labels; all points of a cell get its.
        path: the ending becomes `.npz`.
        options: of the domain.

    Returns:
        the file, with `points` `[N, 3]` float64 and `labels` `[N]` int32.
    """
    mesh = bool(row.meta.get("mesh"))
    cloud = load(Path(row.path), whole(row, "number"), whole(row, "step"), options, mesh=mesh)
    order = point_order(in_frame(cloud.xyz, row, options)[0], row, options)
    labels = np.zeros(len(cloud.xyz), dtype=np.int32)
    labels[order] = prediction[:, None]
    out = path.with_suffix(".npz")
    with replace_file(out) as draft, draft.open("wb") as file:
        np.savez(file, points=cloud.xyz, labels=labels)
    return out


def part_iou(target: np.ndarray, prediction: np.ndarray, classes: Mapping[int, str]) -> dict[str, float]:
    """Intersection over union of the parts of one item (the protocol of ShapeNet-Part: Yi et al., 2016).

    A part that neither has counts as 1: it was rightly left out.

    Args:
        target: `[n]` classes, -1 where unknown.
        prediction: `[n]` classes.
        classes: the parts to score by their number.

    Returns:
        `instance_miou`, and `instance_iou_NAME` for each part.
    """
    known = target >= 0
    found = {}
    for number, name in classes.items():
        a, b = (target == number) & known, (prediction == number) & known
        union = int((a | b).sum())
        found[f"instance_iou_{name}"] = float((a & b).sum()) / union if union else 1.0
    return {"instance_miou": float(np.mean(list(found.values()))) if found else float("nan"), **found}
