"""Names of fields, and the range of colours."""

import numpy as np
import pytest

from ssl_platform_pointcloud.fields import canonical, colour_range, features_of, label_of, unpack_colour


def test_one_spelling_for_each_field():
    for words, name in (
        ("R red Diffuse_Red scalar_Red", "red"),
        ("nx NormalX normal_x", "nx"),
        ("Reflectance i Intensity scalar_Intensity", "intensity"),
        ("Label", "label"),
    ):
        assert {canonical(word) for word in words.split()} == {name}


def test_features_come_whole_and_in_one_order():
    assert features_of(["intensity", "nz", "ny", "nx", "label", "blue", "red"]) == ("nx", "ny", "nz", "intensity")
    assert features_of(["red", "green", "blue", "curvature"], ["curvature", "colour"]) == (
        "curvature",
        "red",
        "green",
        "blue",
    )
    assert features_of(["label", "intensity"], ["normal"]) == ()


def test_labels_are_recognised():
    assert label_of(["x", "intensity", "classification"]) == "classification"
    assert label_of(["return_number", "gps_time"]) is None


def test_packed_colours():
    packed = np.array([0x00AABBCC, 0xFF010203], dtype=np.uint32)
    for values in (packed, packed.view(np.float32)):
        found = unpack_colour(values)
        assert [found[name].tolist() for name in ("red", "green", "blue")] == [[0xAA, 1], [0xBB, 2], [0xCC, 3]]


@pytest.mark.parametrize(
    ("largest", "dtype", "full"),
    [
        (200, "uint8", 255),
        (236, "uint16", 255),
        (256, "uint16", 65535),
        (60000, "uint16", 65535),
        (0.9, "float32", 1),
        (1.0, "float64", 1),
        (254.0, "float32", 255),
        (1, "uint16", 255),
    ],
)
def test_the_range_of_colours(largest, dtype, full):
    assert colour_range(largest, dtype) == full
