"""What is decided for a set, and the reason that is printed."""

import numpy as np

from ssl_platform.types import Row
from ssl_platform_pointcloud.options import PointCloudOptions
from ssl_platform_pointcloud.settle import settle


def row(points=2000, fields="", **meta):
    return Row("x", "/x", (points,), meta={"points": points, "fields": fields, "format": "ply", **meta})


def settled(*rows, **options):
    return {name: value for name, (value, _) in settle(rows, PointCloudOptions(**options)).items()}


def test_objects():
    found = settled(row(), row(), row(90_000))
    assert found == {"kind": "objects", "up": "z", "scale": "unit", "thin": 1, "features": []}
    assert "features" not in settled(row(), features="colour") and "features" not in settled(row(90_000))


def test_scenes_are_thinned_to_sixteen_windows():
    found = settled(row(200_000), row(400_000), row(164_000))
    assert (found["kind"], found["scale"], found["thin"]) == ("scenes", "metric", 12)
    assert settled(row(30_000, format="las", metres="1 1 1"))["thin"] == 2
    assert settled(row(200_000), thin=3, kind="objects", features="normal") == {"up": "z", "scale": "unit"}


def test_reasons_name_what_is_not_known():
    reasons = {name: why for name, (_, why) in settle([row(90_000)], PointCloudOptions()).items()}
    assert "files do not say their unit: taken as metres, data.unit settles it" in reasons["scale"]
    known = settle([row(90_000, metres="1 1 1")], PointCloudOptions())
    assert known["scale"][1] == "scenes, in metres by the files' coordinate systems"
    some = settle([row(90_000, metres="1 1 1"), row(90_000), row(90_000)], PointCloudOptions())
    assert "2 of 3 files do not say" in some["scale"][1]


def test_axes_differ_or_not():
    assert settled(row(organised=True))["up"] == "-y"
    mixed = settle([row(organised=True), row(), row()], PointCloudOptions())["up"]
    assert mixed[0] == "auto" and "1 organised" in mixed[1] and "the other 2" in mixed[1]


def test_colours_take_the_widest_range():
    same = settle([row(colour_max=255.0), row(), row(colour_max=255.0)], PointCloudOptions())["colour_max"]
    assert same == (255.0, "no colour exceeds 255, in 2 files")
    value, why = settle([row(colour_max=255.0), row(colour_max=65535.0)], PointCloudOptions())["colour_max"]
    assert value == 65535.0 and "files differ (1 up to 255, 1 up to 65535)" in why
    assert "colour_max" not in settled(row())


def test_labels_of_points_are_said():
    value, why = settle([row(fields="label red"), row()], PointCloudOptions())["label_field"]
    assert value == "label" and why == "labels of points: label in 1 of 2 files, never a feature"
    several = settle([row(fields="label"), row(fields="class")], PointCloudOptions())["label_field"]
    assert several[0] == "auto" and "class in 1" in several[1]


def test_settling_twice_changes_nothing():
    rows = [row(200_000, fields="label", colour_max=255.0, organised=bool(i)) for i in range(2)]
    first = settled(*rows)
    assert settled(*rows, **first).keys() <= {"up"} and np.isfinite(first["thin"])


def test_nothing_is_settled_for_no_items():
    assert settle([], PointCloudOptions()) == {}
