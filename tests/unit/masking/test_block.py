"""Blocks have exact sizes, no trend along any axis, are symmetric and reach every row."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.masking.block import block_masks
from ssl_platform.masking.inverse_block import inverse_block_masks
from ssl_platform.masking.multi_block import multi_block_masks
from ssl_platform.types import Tokens

GRIDS = [(24,), (7, 6), (14, 14), (4, 5, 6)]
SAMPLES = 3000


def tokens(grid, b=SAMPLES, valid=None):
    axes = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in grid], indexing="ij")
    coords = torch.stack(axes, -1).reshape(1, -1, len(grid)).expand(b, -1, -1)
    return Tokens(torch.zeros(b, math.prod(grid), 1), coords, torch.ones(b, len(grid)), grid, valid)


def draws(b=SAMPLES, seed=0):
    return Draws.at(seed, torch.arange(b))


def chosen(policy, grid):
    """`[samples, *grid]` of one mask a sample, and the share of tokens it chooses."""
    t = tokens(grid)
    if policy == "block":
        mask = block_masks(t, 0.4, draws(), aspect=(0.75, 1.5)).masked
    elif policy == "blocks":
        mask = block_masks(t, 0.4, draws(), blocks=3).masked
    elif policy == "inverse":
        mask = inverse_block_masks(t, 0.65, draws()).visible
    elif policy == "target":
        mask = multi_block_masks(t, draws()).targets
        mask.index = mask.index[:, 0]
    else:
        mask = multi_block_masks(t, draws()).context
    return mask.dense().double().view(SAMPLES, *grid), mask.index.shape[1] / math.prod(grid)


def deviations(statistic, expected):
    """Standard errors between the mean over samples and what is expected, whatever the statistic's spread."""
    return (statistic.mean(0) - expected) / (statistic.std(0) / math.sqrt(SAMPLES)).clamp_min(1e-12)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("policy", ["block", "blocks", "inverse", "target", "context"])
def test_every_token_is_chosen_equally_often(policy, grid):
    dense, share = chosen(policy, grid)
    # 4.8 standard errors: a chance below 1e-3 for all the tokens of all these cases together.
    assert deviations(dense.flatten(1), share).abs().max() < 4.8, "some token is preferred"
    for axis, n in enumerate(grid):
        profile = dense.movedim(1 + axis, 1).reshape(SAMPLES, n, -1).mean(-1)  # [samples, n]
        assert deviations(profile, share).abs().max() < 4.5, f"a row of axis {axis} is preferred"
        trend = (profile * torch.linspace(-1, 1, n, dtype=torch.float64)).mean(-1)
        assert deviations(trend, 0.0).abs() < 4.0, f"trend along axis {axis}"
        mirrored = profile - profile.flip(1)
        assert deviations(mirrored[:, : n // 2], 0.0).abs().max() < 4.5, f"not symmetric along axis {axis}"


def test_the_published_way_would_fail_this_test():
    # Corners drawn so that the last row is never reached, as public collators do.
    n, side = 14, 6
    corner = draws().integer("corner", n - side, 1)
    row = torch.arange(n)[None]
    dense = ((row >= corner) & (row < corner + side)).double()
    assert deviations(dense, side / n).abs().max() > 50 and dense[:, -1].sum() == 0


@pytest.mark.parametrize("grid", [(9, 9), (4, 5, 6)])
def test_without_wrapping_blocks_are_in_one_piece_symmetric_and_reach_the_border(grid):
    mask = block_masks(tokens(grid), 0.2, draws(), wrap=False).masked
    rate = mask.dense().double().mean(0).view(grid)
    spread = math.sqrt(0.16 / SAMPLES)
    for axis in range(len(grid)):
        assert (rate - rate.flip(axis)).abs().max() < 6 * spread
        assert rate.movedim(axis, 0)[0].min() > 0 and rate.movedim(axis, 0)[-1].min() > 0
    # In one piece: its bounding box is hardly larger than itself.
    cells = torch.stack(torch.meshgrid(*[torch.arange(n) for n in grid], indexing="ij"), -1).reshape(-1, len(grid))
    inside = cells[mask.index]
    box = (inside.amax(1) - inside.amin(1) + 1).prod(-1)
    assert (box < 3 * mask.index.shape[1]).all()


@pytest.mark.parametrize("grid", GRIDS)
def test_numbers_are_exact(grid):
    n = math.prod(grid)
    for make in (block_masks, inverse_block_masks):
        visible, masked = make(tokens(grid, 16), 0.65, draws(16))
        keep = int(n * 0.35 + 1e-6)
        assert visible.index.shape == (16, keep) and masked.index.shape == (16, n - keep)
        assert torch.equal(visible.dense(), ~masked.dense()) and visible.valid is None


def test_a_block_is_compact_and_follows_its_aspect():
    t = tokens((16, 16), 500)
    square = block_masks(t, 0.25, draws(500), wrap=False).masked
    wide = block_masks(t, 0.25, draws(500), aspect=(4.0, 4.0), wrap=False).masked

    def sides(mask):
        at = torch.stack([mask.index // 16, mask.index % 16], -1)
        return (at.amax(1) - at.amin(1) + 1).double().median(0).values

    assert (sides(square) - 8).abs().max() <= 1
    assert sides(wide)[0] > 2.5 * sides(wide)[1]


def test_ties_are_broken_at_random():
    # Four tokens of a shell of a 3 x 3 block are in, the sorted list would always take the same ones.
    mask = block_masks(tokens((5, 5), 2000), 0.2, draws(2000), wrap=True).masked
    assert len({tuple(sorted(row.tolist())) for row in mask.index}) > 60


def test_invalid_tokens_are_not_chosen():
    grid = (6, 6)
    valid = torch.ones(3, 36, dtype=torch.bool)
    valid[1, 18:], valid[2] = False, False
    visible, masked = block_masks(tokens(grid, 3, valid), 0.5, draws(3))
    assert torch.equal(visible.dense() | masked.dense(), valid)
    assert masked.dense().sum(1).tolist() == [18, 9, 0]


def test_sets_of_points_have_blocks_too():
    coords = torch.rand(4, 64, 3, generator=torch.Generator().manual_seed(0))
    t = Tokens(torch.zeros(4, 64, 1), coords, torch.ones(4, 3))
    masked = block_masks(t, 0.25, draws(4)).masked
    inside = masked.gather(coords)
    assert masked.index.shape == (4, 16) and masked.grid is None
    assert (inside.std(1) < coords.std(1)).float().mean() > 0.9, "chosen points lie together"


def test_draws_belong_to_the_sample():
    a = block_masks(tokens((6, 6), 8), 0.5, draws(8)).masked.index
    again = block_masks(tokens((6, 6), 3), 0.5, Draws.at(0, torch.arange(5, 8))).masked.index
    assert torch.equal(a[5:], again)
    assert not torch.equal(a, block_masks(tokens((6, 6), 8), 0.5, draws(8, seed=1)).masked.index)
