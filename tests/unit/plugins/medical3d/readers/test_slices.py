"""Which stacks of slices make a volume."""

from pathlib import Path

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.readers.slices import Slice, assemble

AXIAL = np.array([1.0, 0, 0, 0, 1, 0])


def stack(heights, orientation=AXIAL, shear=0.0, size=(4, 5)):
    normal = np.cross(orientation[:3], orientation[3:])
    return [
        Slice(
            file=Path(f"{number}.dcm"),
            frame=0,
            position=height * normal + shear * height * orientation[3:],
            orientation=orientation,
            spacing=(0.5, 0.5),
            size=size,
            order=(0, 0, number),
            dtype="int16",
        )
        for number, height in enumerate(heights)
    ]


@pytest.mark.parametrize(
    ("heights", "why"),
    [
        ([0, 5, 10, 20, 25], r"a slice missing between 2\.dcm and 3\.dcm: 10\.00 mm apart, others 5\.00 mm"),
        ([0, 5, 20, 25, 30, 35], r"2 slices missing between 1\.dcm and 2\.dcm"),
        ([0, 5, 15], "a slice missing between 1.dcm and 2.dcm"),
        ([0, 5, 10, 17, 22], r"uneven slice spacing: 7\.00 mm between 2\.dcm and 3\.dcm, others 5\.00 mm"),
        ([0], "2-D image"),
        ([0, 0, 5, 10], "2 slices at the position of 0.dcm but 1"),
    ],
)
def test_gaps_are_named(heights, why):
    with pytest.raises(Unreadable, match=why):
        assemble(Path(), stack(heights))


def test_rounded_positions_are_no_gap():
    header = assemble(Path(), stack([0, 1.49, 3.0, 4.51, 6.0]))
    assert header.shape == (5, 4, 5) and header.spacing[0] == pytest.approx(1.5)


@pytest.mark.parametrize("order", [[0, 5, 10, 15], [15, 0, 10, 5]])
def test_order_does_not_matter(order):
    header = assemble(Path(), stack(order))
    assert np.allclose(header.affine[:3, 3], 0) and header.affine[2, 2] == 5.0


def test_a_tilted_gantry_is_refused():
    with pytest.raises(Unreadable, match=r"tilted by 11\.3 degrees"):
        assemble(Path(), stack([0, 5, 10, 15], shear=0.2))


def test_an_oblique_series_is_fine():
    angle = np.radians(20)
    turned = np.array([1, 0, 0, 0, np.cos(angle), np.sin(angle)])
    assert assemble(Path(), stack([0, 5, 10], turned)).spacing[0] == pytest.approx(5)


def test_localizers_and_unlike_sizes_are_refused():
    sagittal = np.array([0.0, 1, 0, 0, 0, 1])
    with pytest.raises(Unreadable, match="localizer"):
        assemble(Path(), stack([0, 5]) + stack([10, 15], sagittal))
    with pytest.raises(Unreadable, match="has 8x8 pixels, others 4x5"):
        assemble(Path(), stack([0, 5]) + stack([10, 15], size=(8, 8)))
