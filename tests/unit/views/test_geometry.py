"""Overlap and coverage against brute force; composition; coordinates there and back."""

import math

import pytest
import torch

from ssl_platform.types import Geometry
from ssl_platform.views.geometry import compose, relative


def random_geometry(rows, rank, oblique, seed):
    generator = torch.Generator().manual_seed(seed)
    extent = torch.rand(rows, rank, generator=generator) * 6 + 3
    sign = torch.where(torch.rand(rows, rank, generator=generator) < 0.5, -1.0, 1.0)
    matrix = torch.diag_embed(extent * sign)
    if oblique:
        angle = torch.rand(rows, generator=generator) * math.pi
        turn = torch.eye(rank).repeat(rows, 1, 1)
        turn[:, 0, 0] = turn[:, 1, 1] = torch.cos(angle)
        turn[:, 0, 1], turn[:, 1, 0] = -torch.sin(angle), torch.sin(angle)
        matrix = turn @ matrix
    elif rank > 1:
        matrix[: rows // 2] = matrix[: rows // 2].flip(2)  # a quarter turn
    centre = torch.rand(rows, rank, generator=generator) * 4 + 5
    return Geometry(matrix, centre - matrix.sum(-1) / 2, torch.arange(rows))


def covered_by_counting(view, other, low, high, n):
    """Fraction of the box `[low, high]` of `view`'s coordinates inside `other`, from `n ** S` points."""
    rank = len(low)
    along = [(torch.arange(n) + 0.5) / n * (h - lo) + lo for lo, h in zip(low, high, strict=True)]
    points = torch.stack(torch.meshgrid(*along, indexing="ij"), -1).view(1, -1, rank)
    mapped = view.to_view(other, points.expand(len(view.matrix), -1, -1))
    return ((mapped >= 0) & (mapped <= 1)).all(-1).float().mean(1)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("oblique", [False, True])
def test_overlap_and_coverage_match_counting(rank, oblique):
    if oblique and rank == 1:
        pytest.skip("one axis cannot turn")
    view, other = random_geometry(6, rank, oblique, 0), random_geometry(6, rank, oblique, 1)
    n = {1: 4096, 2: 256, 3: 48}[rank]
    tolerance = 0.03 if oblique else {1: 1e-3, 2: 5e-3, 3: 0.03}[rank]
    torch.testing.assert_close(
        view.overlap(other), covered_by_counting(view, other, [0] * rank, [1] * rank, n), atol=tolerance, rtol=0
    )
    grid = (3, 2, 2)[:rank]
    found = view.coverage(other, grid).view(6, *grid)
    cell = tuple(g - 1 for g in grid)
    low, high = [c / g for c, g in zip(cell, grid, strict=True)], [1.0] * rank
    expected = covered_by_counting(view, other, low, high, {1: 2048, 2: 128, 3: 32}[rank])
    torch.testing.assert_close(found[(slice(None), *cell)], expected, atol=0.12 if oblique else 0.05, rtol=0)
    torch.testing.assert_close(found.flatten(1).mean(1), view.overlap(other), atol=0.03, rtol=0)


def test_closed_forms():
    unit = Geometry(torch.eye(2)[None] * 10, torch.zeros(1, 2), torch.zeros(1))
    half = Geometry(torch.diag(torch.tensor([10.0, 5.0]))[None], torch.tensor([[0.0, 5.0]]), torch.zeros(1))
    assert unit.overlap(half).item() == pytest.approx(0.5)
    assert half.overlap(unit).item() == pytest.approx(1.0)
    torch.testing.assert_close(unit.coverage(half, (1, 4)), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))


def test_unlike_items_do_not_overlap():
    view = random_geometry(4, 3, False, 0)
    elsewhere = Geometry(view.matrix, view.offset, view.item + torch.tensor([0, 1, 0, 1]))
    torch.testing.assert_close(view.overlap(elsewhere), torch.tensor([1.0, 0.0, 1.0, 0.0]))
    assert view.coverage(elsewhere, (2, 2, 2))[1].sum() == 0


def test_there_and_back():
    view, other = random_geometry(5, 3, True, 2), random_geometry(5, 3, True, 3)
    points = torch.rand(5, 7, 3)
    torch.testing.assert_close(view.from_source(view.to_source(points)), points, atol=1e-5, rtol=0)
    torch.testing.assert_close(other.to_view(view, view.to_view(other, points)), points, atol=1e-5, rtol=0)


def test_composition_is_the_map_of_maps():
    outer = random_geometry(3, 2, True, 4)
    matrix, offset = torch.rand(3, 2, 2) + torch.eye(2), torch.rand(3, 2)
    inner = compose(outer, matrix, offset)
    points = torch.rand(3, 5, 2)
    step = torch.einsum("bij,bnj->bni", matrix, points) + offset[:, None]
    torch.testing.assert_close(inner.to_source(points), outer.to_source(step))
    back, shift = relative(inner, outer)
    torch.testing.assert_close(back, matrix, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shift, offset, atol=1e-5, rtol=1e-5)


def test_autocast_does_not_round_coordinates():
    view = random_geometry(2, 3, True, 5)
    points = torch.rand(2, 9, 3)
    plain = view.to_source(points), view.overlap(random_geometry(2, 3, True, 6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(view.to_source(points), plain[0], rtol=0, atol=0)
        torch.testing.assert_close(view.overlap(random_geometry(2, 3, True, 6)), plain[1], rtol=0, atol=0)
