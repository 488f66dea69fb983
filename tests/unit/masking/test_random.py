import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.choose import masked_count
from ssl_platform.masking.random import random_grid_masks, random_masks, subsample
from ssl_platform.types import Tokens


def tokens(b, n, valid=None):
    return Tokens(torch.zeros(b, n, 1), torch.rand(b, n, 2), torch.ones(b, 2), None, valid)


def draws(b, start=0):
    return Draws.at(0, torch.arange(start, start + b))


def test_exact_numbers_and_a_different_set_for_every_sample():
    visible, masked = random_masks(tokens(8, 196), 0.75, draws(8))
    assert visible.index.shape == (8, 49) and masked.index.shape == (8, 147)
    assert torch.equal(visible.dense(), ~masked.dense()) and visible.valid is None
    assert len({tuple(sorted(row.tolist())) for row in visible.index}) == 8


@pytest.mark.parametrize(
    ("total", "ratio", "masked"),
    [(196, 0.75, 147), (10, 0.9, 9), (196, 0.985, 194), (4, 0.01, 1), (4, 0.99, 3), (64, 0.6, 39)],
)
def test_counts(total, ratio, masked):
    assert masked_count(total, ratio) == masked


@pytest.mark.parametrize(("total", "ratio"), [(10, 0.0), (10, 1.0), (1, 0.5)])
def test_impossible_ratios(total, ratio):
    with pytest.raises(ConfigError, match="mask"):
        masked_count(total, ratio)


def test_every_token_is_masked_equally_often():
    _, masked = random_masks(tokens(8000, 16), 0.5, draws(8000))
    rate = masked.dense().float().mean(0)
    assert ((rate - 0.5).abs() < 4.5 * (0.25 / 8000) ** 0.5).all()


def test_draws_belong_to_the_sample():
    a = random_masks(tokens(8, 16), 0.5, draws(8)).visible.index
    b = random_masks(tokens(3, 16), 0.5, draws(3, start=5)).visible.index
    assert torch.equal(a[5:], b)


def test_invalid_tokens_are_in_neither_mask_and_short_rows_keep_the_ratio():
    valid = torch.arange(16)[None] < torch.tensor([16, 8, 5, 1, 0])[:, None]
    visible, masked = random_masks(tokens(5, 16, valid), 0.75, draws(5))
    assert visible.index.shape == (5, 4) and masked.index.shape == (5, 12)
    seen, hidden = visible.dense(), masked.dense()
    assert torch.equal(seen | hidden, valid) and not (seen & hidden).any()
    assert seen.sum(1).tolist() == [4, 2, 2, 1, 0] and hidden.sum(1).tolist() == [12, 6, 3, 0, 0]
    everything = random_masks(tokens(5, 16, torch.ones(5, 16, dtype=torch.bool)), 0.75, draws(5))
    assert torch.equal(everything.masked.dense(), random_masks(tokens(5, 16), 0.75, draws(5)).masked.dense())


def test_scores_steer_the_mask():
    b, n = 2000, 8
    score = torch.arange(n, dtype=torch.float32).expand(b, -1)
    certain = random_masks(tokens(b, n), 0.5, draws(b), scores=score, temperature=0.0).masked
    assert (certain.dense()[:, 4:]).all()
    # Sampling one of eight by Gumbel top-1 is the softmax.
    one = random_masks(tokens(b, n), 0.125, draws(b), scores=score, temperature=2.0).masked.dense().float().mean(0)
    torch.testing.assert_close(one, (score[0] / 2).softmax(0), atol=0.05, rtol=0)


def test_subsample_is_a_random_subset_with_real_positions_first():
    valid = torch.arange(16)[None] < torch.tensor([16, 4])[:, None]
    masked = random_masks(tokens(2, 16, valid), 0.75, draws(2)).masked
    some = subsample(masked, 5, draws(2))
    assert some.index.shape == (2, 5) and some.valid.sum(1).tolist() == [5, 3]
    assert not (some.dense() & ~masked.dense()).any()
    many = random_masks(tokens(4000, 8), 0.5, draws(4000)).masked
    rate = subsample(many, 1, draws(4000)).dense().float().mean(0)
    assert ((rate - 1 / 8).abs() < 4.5 * (7 / 64 / 4000) ** 0.5).all()


def test_grid_without_a_tokenizer():
    visible, masked = random_grid_masks((3, 2, 2), 0.5, draws(3))
    assert masked.to((4, 4)).shape == (3, 16) and visible.grid == (2, 2)
    with pytest.raises(ValueError, match="3 samples but there are draws for 2"):
        random_grid_masks((3, 2, 2), 0.5, draws(2))
