import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.block import block_masks
from ssl_platform.masking.tube import tube_masks
from ssl_platform.types import Tokens

GRID = (4, 6, 5)


def tokens(b=8, valid=None, grid=GRID):
    axes = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in grid], indexing="ij")
    coords = torch.stack(axes, -1).reshape(1, -1, len(grid)).expand(b, -1, -1)
    return Tokens(torch.zeros(b, math.prod(grid), 1), coords, torch.ones(b, len(grid)), grid, valid)


def draws(b=8):
    return Draws.at(0, torch.arange(b))


@pytest.mark.parametrize("policy", [None, block_masks])
@pytest.mark.parametrize("axes", [(0,), (2,), (1, 2)])
def test_the_mask_is_constant_along_its_axes_and_exact(axes, policy):
    settings = {} if policy is None else {"policy": policy}
    visible, masked = tube_masks(tokens(), 0.5, draws(), axes=axes, **settings)
    hidden = masked.dense().view(8, *GRID)
    for axis in axes:
        assert (hidden == hidden.narrow(1 + axis, 0, 1)).all()
    assert torch.equal(visible.dense(), ~masked.dense()) and visible.valid is None
    places = math.prod(n for i, n in enumerate(GRID) if i not in axes)
    assert masked.index.shape[1] == (places - places // 2) * math.prod(GRID) // places
    assert len({tuple(row.tolist()) for row in hidden.flatten(1)}) > 1


def test_places_are_chosen_equally_often():
    masked = tube_masks(tokens(4000), 0.5, draws(4000)).masked
    rate = masked.dense().float().mean(0).view(GRID)[0]
    assert ((rate - 0.5).abs() < 4.5 * (0.25 / 4000) ** 0.5).all()


def test_invalid_tokens_are_left_out_of_their_tube():
    valid = torch.ones(2, 120, dtype=torch.bool)
    valid[1, 30:] = False  # only the first time step
    valid[0, 5] = False
    visible, masked = tube_masks(tokens(2, valid), 0.5, draws(2))
    assert torch.equal(visible.dense() | masked.dense(), valid)
    assert masked.dense()[1].sum() == 15


def test_sets_and_grids_without_an_axis_left_are_refused():
    with pytest.raises(ConfigError, match="set"):
        tube_masks(Tokens(torch.zeros(1, 8, 1), torch.rand(1, 8, 3), torch.ones(1, 3)), 0.5, draws(1))
    with pytest.raises(ConfigError, match="axis left"):
        tube_masks(tokens(grid=(4,)), 0.5, draws())
