"""Boxes of whole cells cut from a view."""

from __future__ import annotations

import itertools

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.types import View
from ssl_platform.views.tiles import TileGrid, cut, halved, moments, seen

SIZES = {1: (18,), 2: (18, 12), 3: (9, 6, 12)}


def view_of(size: tuple[int, ...], batch: int = 3, channels: int = 2, valid: bool = False) -> View:
    torch.manual_seed(0)
    mask = torch.rand(batch, *size) < 0.7 if valid else None
    return View(
        torch.randn(batch, channels, *size), mask, index=torch.arange(batch), spacing=torch.ones(batch, len(size))
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("valid", [False, True])
def test_whole_parts_tile_the_view_exactly(rank: int, valid: bool) -> None:
    view = view_of(SIZES[rank], valid=valid)
    grid = TileGrid.over(SIZES[rank], 3)
    tiles = cut(view, grid.centred(view.x.device).expand(len(view), -1, -1), grid.tile)
    assert grid.count == 3**rank and grid.slack == (0,) * rank
    rebuilt, mask = torch.full_like(view.x, torch.nan), torch.zeros(len(view), *SIZES[rank])
    for b, (t, place) in itertools.product(range(len(view)), enumerate(grid.places)):
        box = tuple(slice(p * n, (p + 1) * n) for p, n in zip(place, grid.part, strict=True))
        rebuilt[(b, slice(None), *box)] = tiles.x[b * grid.count + t]
        mask[(b, *box)] = 1.0 if tiles.valid is None else tiles.valid[b * grid.count + t].float()
    assert torch.equal(rebuilt, view.x)
    assert torch.equal(mask.bool(), torch.ones_like(mask).bool() if view.valid is None else view.valid)
    assert tiles.index is not None and tiles.index.tolist() == [b for b in range(3) for _ in range(grid.count)]


def test_scattered_tiles_stay_in_their_parts_reach_every_place_and_never_touch() -> None:
    grid = TileGrid.over((15,), 3, 0.6)
    start = grid.scattered(Draws.at(0, torch.arange(500)))[..., 0]
    assert grid.tile == (3,) and grid.slack == (2,)
    assert ((start[:, 1:] - start[:, :-1]) > 3).all(), "a gap of at least one cell"
    inside = start - torch.tensor([0, 5, 10])
    assert sorted(inside.unique().tolist()) == [0, 1]


def test_tiles_are_multiples_of_the_patch_where_they_hold_one() -> None:
    assert TileGrid.over((96, 96), 3, 0.75, (8, 8)).tile == (24, 24)
    assert TileGrid.over((96, 96), 3, 0.75, (16, 16)).tile == (16, 16)
    assert TileGrid.over((16, 16), 3, 0.75, (4, 4)).tile == (3, 3)
    with pytest.raises(ConfigError, match="cannot be cut into 3 parts"):
        TileGrid.over((2, 96), 3)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_halving_gives_half_the_cells_and_keeps_slopes(rank: int) -> None:
    """The three ways agree on a slope away from the border, but for the shift of half a cell of the second."""
    size = (8, 12, 6)[:rank]
    ramp = torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in size], indexing="ij")
    view = View(torch.stack(ramp)[None].expand(3, -1, *(-1,) * rank), spacing=torch.ones(3, rank))
    small = halved(view, torch.arange(3))
    assert small.x.shape[2:] == tuple(n // 2 for n in size) and small.spacing is not None
    assert small.spacing.eq(2).all()
    for axis in range(rank):
        line = small.x[:, axis].movedim(axis + 1, -1)[..., 1:-1]
        expected = 2.0 * torch.arange(1, size[axis] // 2 - 1) + 0.5
        torch.testing.assert_close(line[0], expected.expand_as(line[0]))
        torch.testing.assert_close(line[1], (expected - 0.5).expand_as(line[1]))
        torch.testing.assert_close(line[2], expected.expand_as(line[2]))


def test_halving_averages_valid_cells_only() -> None:
    x = torch.tensor([[[1.0, 3.0, 5.0, 100.0, 7.0, 8.0]]])
    valid = torch.tensor([[True, True, True, False, False, False]])
    small = halved(View(x, valid))
    assert small.valid is not None and small.valid.tolist() == [[True, True, False]]
    assert small.x[0, 0, :2].tolist() == [2.0, 5.0]
    other = halved(View(torch.where(valid[:, None], x, torch.tensor(float("nan"))), valid))
    assert torch.equal(other.x[..., :2], small.x[..., :2])


def test_moments_are_those_of_valid_cells() -> None:
    view = view_of((6, 5), valid=True)
    mean, std = moments(view)
    for b, c in itertools.product(range(3), range(2)):
        values = view.x[b, c][view.valid[b]]
        torch.testing.assert_close(mean[b, c].squeeze(), values.mean())
        torch.testing.assert_close(std[b, c].squeeze(), values.std(correction=0))
    blank = view.replace(valid=torch.zeros_like(view.valid))
    assert all(m.eq(0).all() for m in moments(blank)) and not seen(blank).any() and seen(view).all()
