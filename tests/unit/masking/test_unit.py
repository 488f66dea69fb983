import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.unit import unit_masks, unit_tokens
from ssl_platform.types import Tokens


def tokens(grid, b=16, kinds=1, valid=None):
    axes = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in grid], indexing="ij")
    coords = torch.stack(axes, -1).reshape(1, -1, len(grid)).repeat(b, kinds, 1)
    n = math.prod(grid) * kinds
    return Tokens(torch.zeros(b, n, 1), coords, torch.ones(b, len(grid)), grid if kinds == 1 else None, valid)


def draws(b=16):
    return Draws.at(0, torch.arange(b))


@pytest.mark.parametrize(("grid", "unit", "masked"), [((12,), (2,), 4), ((48, 48), (8, 8), 22), ((14, 14), (2, 2), 30)])
def test_a_fixed_number_of_whole_units_is_masked(grid, unit, masked):
    """22 of 36 units at 192 pixels, 30 of 49 at 224."""
    visible, hidden = unit_masks(tokens(grid), 0.6, draws(), unit)
    boxes = hidden.dense().view(16, *grid)
    for axis, u in enumerate(unit):
        boxes = boxes.unfold(1 + axis, u, u)
    boxes = boxes.flatten(1 + len(grid))
    assert (boxes == boxes[..., :1]).all()
    assert (boxes[..., 0].flatten(1).sum(1) == masked).all() and hidden.valid is None
    assert torch.equal(visible.dense(), ~hidden.dense())


def test_smaller_last_units_invalid_tokens_and_kinds_that_are_masked_together():
    grid = (5, 3, 4)
    visible, hidden = unit_masks(tokens(grid), 0.5, draws(), (2, 2, 2))
    assert torch.equal(visible.dense(), ~hidden.dense())
    boxes = hidden.dense().view(16, *grid)
    assert (boxes[:, 0] == boxes[:, 1]).all() and (boxes[:, :, 0] == boxes[:, :, 1]).all()

    valid = torch.rand(16, 60) < 0.7
    visible, hidden = unit_masks(tokens(grid, valid=valid), 0.5, draws(), (2, 2, 2))
    assert torch.equal(visible.dense() | hidden.dense(), valid)

    hidden = unit_masks(tokens((4, 6), kinds=3), 0.5, draws(), (2, 2), (4, 6)).masked.dense().view(16, 3, 24)
    assert (hidden == hidden[:, :1]).all() and (hidden[:, 0].sum(1) == 12).all()
    with pytest.raises(ConfigError, match="grid"):
        unit_masks(tokens((4, 6), kinds=3), 0.5, draws(), (2, 2))


def test_units_are_as_published_and_smaller_on_small_views():
    assert unit_tokens(32, (4, 4), (48, 48)) == (8, 8)
    assert unit_tokens(32, (16, 16), (14, 14)) == (2, 2)
    assert unit_tokens(32, (2, 16, 16), (8, 14, 14)) == (1, 2, 2)
    assert unit_tokens(32, (16,) * 3, (6,) * 3) == (1, 1, 1)
