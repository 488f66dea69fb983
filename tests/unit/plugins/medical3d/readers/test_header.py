"""Shapes, overruled geometry, and causes in one line."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import affine_of_codes
from ssl_platform_medical3d.readers.header import Header, reading, volume_shape


@pytest.mark.parametrize(
    ("shape", "last", "expected"),
    [
        ((4, 5, 6), True, ((4, 5, 6), 1)),
        ((4, 5, 6, 1), True, ((4, 5, 6), 1)),
        ((4, 5, 6, 7), True, ((4, 5, 6), 7)),
        ((7, 4, 5, 6), False, ((4, 5, 6), 7)),
        ((1, 4, 5, 6), False, ((4, 5, 6), 1)),
        ((4, 5, 6, 1, 1), True, ((4, 5, 6), 1)),
    ],
)
def test_frames_and_singletons(shape, last, expected):
    assert volume_shape(shape, last) == expected


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 1, 5), (4, 5, 1, 9), (4, 5, 1, 1)])
def test_pictures_are_refused(shape):
    with pytest.raises(Unreadable, match="2-D image"):
        volume_shape(shape)


def test_too_many_axes_and_no_voxels_are_refused():
    with pytest.raises(Unreadable, match="has 5 axes"):
        volume_shape((4, 5, 6, 2, 3))
    with pytest.raises(Unreadable, match="no voxels"):
        volume_shape((4, 0, 6))


def test_spacing_is_overruled_along_the_normalised_axes():
    affine = affine_of_codes("PSL", (1.0, 2.0, 3.0))
    header = Header(Path("x"), "nifti", (4, 5, 6), affine, "int16")
    assert header.spacing == (2.0, 1.0, 3.0)
    changed = header.respaced((7.0, 8.0, 9.0))
    assert changed.spacing == (7.0, 8.0, 9.0)
    assert np.allclose(np.sign(changed.affine), np.sign(affine))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError("x"), r"permission denied: make it readable \(chmod u\+r\)"),
        (FileNotFoundError("x"), "is no longer there"),
        (EOFError("ended"), r"truncated or damaged compressed data: copy the file again \(ended\)"),
        (zlib.error("bad"), "truncated or damaged"),
        (gzip.BadGzipFile("no"), "not gzip data although its name says so"),
        (MemoryError(), "does not fit into memory"),
        (ValueError("first\n\nlast line"), r"not a readable NIfTI file \(last line\)"),
        (KeyError(), r"not a readable NIfTI file \(KeyError\)"),
    ],
)
def test_causes_are_one_line(error, why):
    with pytest.raises(Unreadable, match=f"^{why}") as caught, reading("NIfTI"):
        raise error
    assert "\n" not in caught.value.why
