"""Card 065's acceptance of the masks."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.multi_block import block_sizes, multi_block_masks
from ssl_platform.types import Tokens


def tokens(grid, b, valid=None, points=False):
    axes = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in grid], indexing="ij")
    coords = torch.stack(axes, -1).reshape(1, -1, len(grid)).expand(b, -1, -1)
    return Tokens(torch.zeros(b, math.prod(grid), 1), coords, torch.ones(b, len(grid)), None if points else grid, valid)


def draws(b):
    return Draws.at(3, torch.arange(b))


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("grid", [(40,), (14, 14), (6, 6, 6), (3, 3, 3)])
def test_disjoint_equal_numbers_and_the_area_of_the_paper(grid, points):
    n = math.prod(grid)
    context, targets = multi_block_masks(tokens(grid, 64, points=points), draws(64))
    assert context.index.ndim == 2 and targets.index.shape[:2] == (64, 4)
    taken = targets.dense().any(1)
    assert not (taken & context.dense()).any()
    assert context.valid is None and targets.valid is None, "every place is real, so |C| and |T| are equal for all"
    assert (context.dense().sum(1) == context.index.shape[1]).all()
    assert (targets.dense().sum(-1) == targets.index.shape[-1]).all()
    assert targets.index.shape[-1] / n == pytest.approx(0.175, rel=0.1)


def test_more_context_may_be_asked_for_at_the_price_of_padding():
    context, targets = multi_block_masks(tokens((14, 14), 64), draws(64), keep=0.4)
    assert context.index.shape[1] == 78 and context.valid is not None
    assert not (targets.dense().any(1) & context.dense()).any()
    assert context.dense().sum(1).float().mean() > 60


def test_context_stays_inside_its_block():
    context, _ = multi_block_masks(tokens((12, 12), 200), draws(200), context_scale=(0.25, 0.25), targets=1)
    at = torch.stack([context.index // 12, context.index % 12], -1)
    near = (at[:, :, None] - at[:, None]).abs()
    near = torch.minimum(near, 12 - near).amax((1, 2, 3))
    assert (near <= 7).all(), "a quarter of the grid is 6 x 6, at most 7 across when cut between cells"


def test_short_rows_shrink_in_proportion():
    valid = torch.arange(64)[None] < torch.tensor([64, 32, 8])[:, None]
    context, targets = multi_block_masks(tokens((8, 8), 3, valid), draws(3))
    assert targets.valid.sum(-1).tolist() == [[11] * 4, [5] * 4, [1] * 4]
    assert not (targets.dense().any(1) & ~valid).any() and not (context.dense() & ~valid).any()
    assert not (targets.dense().any(1) & context.dense()).any()
    assert (context.valid.sum(1) >= torch.tensor([15, 7, 1])).all()
    whole = multi_block_masks(tokens((8, 8), 3, torch.ones(3, 64, dtype=torch.bool)), draws(3))
    plain = multi_block_masks(tokens((8, 8), 3), draws(3))
    assert torch.equal(whole.targets.dense(), plain.targets.dense())
    assert torch.equal(whole.context.dense(), plain.context.dense())


def test_sizes():
    assert block_sizes(196, 4, (0.15, 0.2), (0.85, 1.0), None) == (34, 181, 45)
    with pytest.raises(ConfigError, match="at least 8 tokens"):
        block_sizes(4, 4, (0.15, 0.2), (0.85, 1.0), None)
