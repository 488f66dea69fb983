"""Columns without names are told by rule, or refused."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.readers.columns import columns_of

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(100, 3)) * 30
UNIT = RNG.normal(size=(100, 3))
UNIT /= np.linalg.norm(UNIT, axis=1, keepdims=True)
BYTES = RNG.integers(0, 256, (100, 3)).astype(float)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ([XYZ], "x y z"),
        ([XYZ, BYTES[:, :1]], "x y z intensity"),
        ([XYZ, UNIT], "x y z nx ny nz"),
        ([XYZ, BYTES], "x y z red green blue"),
        ([XYZ, BYTES / 255], "x y z red green blue"),
        ([XYZ, BYTES[:, :1], BYTES], "x y z intensity red green blue"),
        ([XYZ, UNIT, BYTES[:, :1] % 50], "x y z nx ny nz label"),
    ],
)
def test_rules(columns, names):
    assert columns_of(np.concatenate(columns, axis=1)) == tuple(names.split())


UNTOLD = [[XYZ, XYZ], [XYZ, BYTES[:, :2]], [XYZ, UNIT[:, :1], UNIT], [XYZ, UNIT, UNIT[:, :1]], [XYZ, XYZ, XYZ]]


@pytest.mark.parametrize("columns", UNTOLD)
def test_what_cannot_be_told_apart_is_refused(columns):
    with pytest.raises(Unreadable, match=r"columns without names that cannot be told apart: name them"):
        columns_of(np.concatenate(columns, axis=1))
