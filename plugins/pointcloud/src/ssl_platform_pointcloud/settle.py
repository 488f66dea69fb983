"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ssl_platform.data.names import counted
from ssl_platform.types import Row
from ssl_platform_pointcloud.items import label_field, up_of, whole
from ssl_platform_pointcloud.options import PointCloudOptions

SCENE_POINTS = 20_000
"""Items of more points are scenes: shape benchmarks have a few thousand, depth frames 300,000, lidar tiles millions."""
WINDOWS_PER_SCENE = 16
WINDOW = 1024


def settle(rows: Iterable[Row], options: PointCloudOptions) -> dict[str, tuple[Any, str]]:
    """Kind, axis, scale, colours, thinning and labels for a set.

    Args:
        rows: the scanned set.
        options: as given.

    Returns:
        `{"kind": (value, reason)}` and so on: those that are `auto` and have a rule.
    """
    points, colours, labels = [], Counter[float](), Counter[str]()
    ups = Counter[str]()
    known = total = lidar = 0
    for row in rows:
        total += 1
        points.append(whole(row, "points"))
        ups[up_of(row, options)] += 1
        lidar += row.meta.get("format") == "las"
        known += bool(row.meta.get("metres"))
        if row.meta.get("colour_max"):
            colours[float(str(row.meta["colour_max"]))] += 1
        labels[label_field(row, options) or ""] += 1
    settled: dict[str, tuple[Any, str]] = {}
    if not total:
        return settled
    middle = int(np.median(points))
    kind = options.kind
    if kind == "auto":
        kind = "scenes" if middle > SCENE_POINTS or 2 * lidar > total else "objects"
        settled["kind"] = (
            kind,
            f"the median item has {middle:,} points{', most are LAS' if 2 * lidar > total else ''}",
        )
    if options.up == "auto":
        settled["up"] = _up(ups)
    if options.scale == "auto":
        settled["scale"] = _scale(kind, known, total, options)
    if options.thin == "auto":
        thin = max(1, round(middle / (WINDOWS_PER_SCENE * WINDOW))) if kind == "scenes" else 1
        why = (
            f"about {WINDOWS_PER_SCENE} windows of {WINDOW} points cover the median scene"
            if thin > 1
            else "all are read"
        )
        settled["thin"] = (thin, why)
    if options.features == "auto" and kind == "objects":
        settled["features"] = ([], "objects: shape alone, as shape benchmarks do; data.features=[colour,normal] adds")
    if options.colour_max == "auto" and colours:
        settled["colour_max"] = _colour(colours)
    if options.label_field == "auto" and set(labels) != {""}:
        counts = {name: count for name, count in labels.most_common() if name}
        value = next(iter(counts)) if len(counts) == 1 else "auto"
        named = ", ".join(f"{name} in {count}" for name, count in counts.items())
        settled["label_field"] = (value, f"labels of points: {named} of {total} files, never a feature")
    return settled


def _up(ups: Counter[str]) -> tuple[str, str]:
    """One axis where all items have it, else `auto`: each by its own rule."""
    if set(ups) == {"z"}:
        return "z", "LAS has z up, other files do not say; data.up=y for y-up"
    if set(ups) == {"-y"}:
        return "-y", "organised clouds: a depth sensor's y points down"
    return (
        "auto",
        f"{ups['-y']} organised clouds of a depth sensor, whose y points down; z is up in the other {ups['z']}",
    )


def _scale(kind: str, known: int, total: int, options: PointCloudOptions) -> tuple[str, str]:
    if kind == "objects":
        return "unit", "objects: each fits a sphere of radius 1; data.scale=metric keeps sizes"
    if options.unit != "auto":
        return "metric", f"scenes, in data.unit={options.unit}"
    if known == total:
        return "metric", "scenes, in metres by the files' coordinate systems"
    some = f"{total - known} of {total} files do not say their unit" if known else "files do not say their unit"
    return "metric", f"scenes; {some}: taken as metres, data.unit settles it"


def _colour(colours: Counter[float]) -> tuple[float, str]:
    """The range most files have; a 16-bit file that happens to be dark looks like one of bytes, so the largest wins."""
    largest = max(colours)
    if len(colours) == 1:
        return largest, f"no colour exceeds {largest:g}, in {counted(colours.total(), 'file')}"
    counts = ", ".join(f"{count} up to {value:g}" for value, count in sorted(colours.items()))
    return largest, f"files differ ({counts}): the widest range is taken for all; data.colour_max settles it"
