"""Masks with a drawn share of the tokens. Their distribution over crops is in tests/parity/objectives/test_ibot.py."""

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.masking.drawn import drawn_masks
from ssl_platform.types import Tokens


def tokens(batch: int, count: int, rank: int, grid: tuple[int, ...] | None = None, valid=None) -> Tokens:
    coords = torch.rand(batch, count, rank, generator=torch.Generator().manual_seed(0))
    return Tokens(torch.zeros(batch, count, 1), coords, torch.ones(batch, rank), grid, valid)


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("grid", [(12,), (6, 4), (3, 4, 2), None])
def test_counts_are_exact_on_any_grid_and_on_sets(grid: tuple[int, ...] | None, block: bool) -> None:
    count = 24 if grid is None else int(torch.tensor(grid).prod())
    ratio = torch.tensor([0.0, 0.1, 0.25, 0.49, 0.5])
    mask = drawn_masks(
        tokens(5, count, len(grid or "xyz"), grid), ratio, 0.5, Draws.at(0, torch.arange(5)), block=block
    )
    assert mask.index.shape == (5, count // 2)
    assert torch.equal(mask.dense().sum(1), (ratio * count).floor().long())


def test_shares_are_of_the_valid_tokens() -> None:
    valid = torch.arange(16).expand(3, 16) < torch.tensor([[16], [7], [0]])
    made = tokens(3, 16, 3, valid=valid)
    chosen = drawn_masks(made, torch.full((3,), 0.5), 0.5, Draws.at(0, torch.arange(3))).dense()
    assert chosen.sum(1).tolist() == [8, 3, 0]
    assert not (chosen & ~valid).any()


def test_a_block_is_in_few_pieces() -> None:
    """Masked cells of a grid touch more masked cells than random ones do."""

    def touching(block: bool) -> float:
        made = tokens(64, 196, 2, (14, 14))
        dense = drawn_masks(made, torch.full((64,), 0.3), 0.3, Draws.at(0, torch.arange(64)), block=block).dense()
        cells = dense.view(64, 14, 14)
        return float((cells & cells.roll(1, 1)).sum() / cells.sum())

    assert touching(True) > 0.75 > 0.5 > touching(False)
