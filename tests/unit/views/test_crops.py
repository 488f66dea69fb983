"""Crops: where they may lie, how often, and what they follow."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry
from ssl_platform.views.crop_rule import CropRule
from ssl_platform.views.crops import draw, draw_inside, draw_overlapping

B = 400
DRAWS = Draws.at(0, torch.arange(B))
FREE = CropRule((8, 8, 8), (0.2, 0.9), (True,) * 3, flips=(0, 2))
PLANES = ((0, 1), (0, 2), (1, 2))
ONES = torch.ones(B, 3)


def corners(crop):
    """`[B, 8, S]` corners of the crops in cells."""
    u = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5])] * crop.base.shape[1])
    return torch.einsum("bij,nj->bni", crop.matrix, u) + crop.centre[:, None]


def geometry(crop):
    return crop.geometry(torch.ones_like(crop.base), torch.zeros_like(crop.base), torch.zeros(len(crop.base)))


@pytest.mark.parametrize("spacing", [ONES, torch.tensor([3.0, 1.0, 0.7]).expand(B, 3)])
@pytest.mark.parametrize("degrees", [0.0, 20.0, 180.0])
def test_crops_lie_in_the_window(degrees, spacing):
    rule = CropRule((8, 8, 8), (0.2, 1.0), (True,) * 3, (0,), planes=PLANES if degrees else (), degrees=degrees)
    place = corners(draw(rule, DRAWS, (20, 24, 24), (16, 20, 20), spacing))
    assert place.min() > -1e-3 and (place.amax((0, 1)) < torch.tensor([20, 24, 24]) + 1e-3).all()


def test_scale_is_the_fraction_of_the_volume():
    crop = draw(FREE, DRAWS, (30, 40, 50), (30, 40, 50), ONES)
    fraction = crop.base.abs().prod(1) / (30 * 40 * 50)
    assert 0.2 <= fraction.min() < 0.22 and 0.88 < fraction.max() < 0.9 + 1e-5
    assert abs(fraction.mean() - 0.55) < 0.03
    torch.testing.assert_close(crop.params["crop.extent"].prod(1), fraction)


def test_positions_and_flips_are_uniform():
    crop = draw(CropRule((8, 8), (0.25, 0.25), (True, True), flips=(1,)), DRAWS, (16, 16), (16, 16), ONES[:, :2])
    start = (crop.centre - crop.base.abs() / 2) / 8
    assert start.min() >= 0 and start.max() <= 1 and (start.mean(0) - 0.5).abs().max() < 0.05
    assert (crop.base[:, 0] > 0).all() and abs((crop.base[:, 1] < 0).float().mean() - 0.5) < 0.08
    assert crop.params["crop.flip"][:, 1].equal((crop.base[:, 1] < 0).float())


def test_axes_that_may_not_scale_keep_whole_cells():
    crop = draw(CropRule((8, 6), scaled=(False, False), flips=(0, 1)), DRAWS, (12, 6), (12, 6), ONES[:, :2])
    start = crop.centre - crop.base.abs() / 2
    assert crop.exact and start.equal(start.round())
    assert start[:, 0].unique().tolist() == [0, 1, 2, 3, 4] and start[:, 1].unique().tolist() == [0]
    mixed = draw(CropRule((4, 8), (0.3, 0.6), (False, True)), DRAWS, (9, 16), (9, 16), ONES[:, :2])
    start = mixed.centre - mixed.base.abs() / 2
    assert not mixed.exact and start[:, 0].equal(start[:, 0].round()) and (mixed.base[:, 0] == 4).all()
    assert mixed.base[:, 1].min() >= 0.3 * 16 - 1e-4 and mixed.base[:, 1].max() <= 0.6 * 16 + 1e-4


def test_centre_crops_draw_nothing():
    crop = draw(CropRule((8, 6), scaled=(False, False), centred=True), DRAWS, (11, 4), (11, 4), ONES[:, :2])
    assert (crop.centre - crop.base / 2).unique(dim=0).tolist() == [[1.0, -1.0]]


@pytest.mark.parametrize("degrees", [0.0, 25.0])
@pytest.mark.parametrize("least", [0.5, 0.8])
def test_overlapping_pairs(least, degrees):
    draws, spacing = DRAWS.select(slice(0, 100)), torch.ones(100, 3)
    rule = CropRule((8, 8, 8), (0.2, 0.5), (True,) * 3, (0, 1), planes=PLANES if degrees else (), degrees=degrees)
    first = draw(rule, draws.child("a"), (20, 20, 20), (20, 20, 20), spacing)
    free = geometry(draw(rule, draws.child("b"), (20, 20, 20), (20, 20, 20), spacing)).overlap(geometry(first))
    assert (free < least).float().mean() > 0.15
    second = draw_overlapping(rule, draws.child("b"), first, least, (20, 20, 20), (20, 20, 20), spacing)
    found = geometry(second).overlap(geometry(first))
    assert found.min() >= least - (0.03 if degrees else 1e-4)
    assert (found < 0.999).float().mean() > 0.5  # not just copies of the first
    assert corners(second).min() > -1e-3 and corners(second).max() < 20 + 1e-3


def test_impossible_overlap_falls_back_to_the_first_box():
    small = CropRule((8,), (0.1, 0.1), (True,))
    large = CropRule((8,), (1.0, 1.0), (True,))
    first = draw(small, DRAWS, (20,), (20,), ONES[:, :1])
    second = draw_overlapping(large, DRAWS.child("b"), first, 0.9, (20,), (20,), ONES[:, :1])
    torch.testing.assert_close(second.base.abs(), first.base.abs())


@pytest.mark.parametrize("rotated", [False, True])
def test_a_view_inside_a_view(rotated):
    quarters = () if rotated else ((1, 2),)
    rule = CropRule(
        (8, 8, 8), (0.3, 0.9), (True,) * 3, (0, 1, 2), quarters, planes=PLANES if rotated else (), degrees=40.0
    )
    parent = draw(rule, DRAWS, (24, 20, 22), (20, 20, 20), ONES)
    inner = CropRule((4, 4, 4), (0.1, 0.5), (True,) * 3, flips=(1,))
    child = draw_inside(inner, DRAWS.child("child"), parent, (24, 20, 22))
    inside = geometry(parent).from_source(corners(child))
    assert inside.min() > -1e-4 and inside.max() < 1 + 1e-4
    volume = child.base.abs().prod(1) / parent.base.abs().prod(1)
    assert 0.1 - 1e-4 <= volume.min() < 0.12 and 0.48 < volume.max() <= 0.5 + 1e-4


def test_a_whole_cell_view_inside_a_whole_cell_view():
    parent = draw(CropRule((8, 8), scaled=(False, False), flips=(0, 1)), DRAWS, (12, 12), (12, 12), ONES[:, :2])
    child = draw_inside(CropRule((4, 4), scaled=(False, False)), DRAWS.child("c"), parent, (12, 12))
    start = child.centre - child.base.abs() / 2
    assert child.exact and (start - start.round()).abs().max() < 1e-5
    assert (start.round() - (parent.centre - 4)).unique().tolist() == [0, 1, 2, 3, 4]


def test_rotation_is_a_turn_in_physical_space():
    spacing = torch.tensor([3.0, 1.0, 0.5]).expand(B, 3)
    rule = CropRule((8, 8, 8), (0.1, 0.2), (True,) * 3, planes=PLANES, degrees=30)
    crop = draw(rule, DRAWS, (30, 30, 30), (20, 20, 20), spacing)
    turn = spacing[:, :, None] * crop.rotation / spacing[:, None, :]
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(B, -1, -1), atol=1e-5, rtol=0)
    angle = torch.acos(((turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    torch.testing.assert_close(angle, crop.params["crop.angle"][:, 0].abs(), atol=2e-3, rtol=0)
    assert angle.max() > math.radians(28) and crop.params["crop.plane"].unique().tolist() == [0, 1, 2]


def test_quarter_turns_need_equal_spacing():
    rule = CropRule((8, 8), (0.5, 1.0), (True, True), quarters=((0, 1),))
    alike = draw(rule, DRAWS, (10, 10), (10, 10), ONES[:, :2])
    assert alike.params["crop.quarter"].unique().tolist() == [0, 1, 2, 3]
    unlike = draw(rule, DRAWS, (10, 10), (10, 10), torch.tensor([1.0, 2.0]).expand(B, 2))
    assert unlike.params["crop.quarter"].unique().tolist() == [0, 2]


def test_another_window_of_the_same_place():
    crop = draw(
        CropRule((8, 8), (0.3, 0.9), (True, True), planes=((0, 1),), degrees=30), DRAWS, (20, 20), (20, 20), ONES[:, :2]
    )
    finer = crop.scaled_to((2.0, 0.5))
    torch.testing.assert_close(finer.matrix, crop.matrix * torch.tensor([2.0, 0.5])[:, None])
    a = crop.geometry(torch.ones(B, 2), torch.zeros(B, 2), torch.zeros(B))
    b = finer.geometry(torch.tensor([0.5, 2.0]).expand(B, 2), torch.zeros(B, 2), torch.zeros(B))
    assert isinstance(a, Geometry)
    torch.testing.assert_close(a.matrix, b.matrix)
    torch.testing.assert_close(a.offset, b.offset, atol=1e-5, rtol=1e-5)
