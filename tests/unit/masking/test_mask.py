import pytest
import torch

from ssl_platform.masking.mask import complement, dense, from_dense, gather, replace, resize
from ssl_platform.types import Mask

SHORT = Mask(torch.tensor([[4, 1, 0], [2, 0, 0]]), 5, torch.tensor([[True, True, True], [True, False, False]]))


def test_dense_leaves_padding_out():
    assert dense(SHORT).tolist() == [[True, True, False, False, True], [False, False, True, False, False]]
    several = Mask(torch.tensor([[[0, 1], [3, 4]]]), 5)
    assert dense(several).sum(-1).tolist() == [[2, 2]]


def test_from_dense_is_its_inverse():
    chosen = torch.rand(6, 9) > 0.5
    mask = from_dense(chosen, 9)
    assert torch.equal(dense(mask), chosen)
    assert (mask.valid.sum(1) == chosen.sum(1)).all()


def test_complement_shares_nothing_and_misses_nothing():
    mask = Mask(torch.tensor([[4, 1], [2, 0]]), 5)
    rest = complement(mask)
    assert rest.valid is None and torch.equal(dense(rest), ~dense(mask))
    valid = torch.tensor([[True, True, True, True, False], [True] * 5])
    rest = complement(SHORT, valid)
    assert torch.equal(dense(rest)[0], torch.tensor([False, False, True, True, False]))
    assert not (dense(rest) & dense(SHORT)).any()


def test_gather_takes_rows_and_its_gradient_returns_them():
    values = torch.randn(2, 5, 3, requires_grad=True)
    mask = Mask(torch.tensor([[[4, 1], [0, 0]], [[2, 3], [1, 4]]]), 5)
    out = gather(mask, values)
    assert out.shape == (2, 2, 2, 3) and torch.equal(out[1, 1, 0], values[1, 1])
    weight = torch.randn_like(out)
    (grad,) = torch.autograd.grad((out * weight).sum(), values)
    expected = torch.zeros_like(values)
    for b, m, k in ((b, m, k) for b in range(2) for m in range(2) for k in range(2)):
        expected[b, mask.index[b, m, k]] += weight[b, m, k]
    torch.testing.assert_close(grad, expected)
    assert gather(mask, torch.arange(10).view(2, 5)).tolist() == [[[4, 1], [0, 0]], [[7, 8], [6, 9]]]


def test_other_grids_read_the_nearest_cell():
    mask = Mask(torch.tensor([[1, 2]]), 4, grid=(2, 2))
    fine = resize(mask, (4, 6)).view(4, 6)
    assert fine.tolist() == [[False] * 3 + [True] * 3] * 2 + [[True] * 3 + [False] * 3] * 2
    again = from_dense(resize(mask, (4, 4)), 8, (4, 4))
    assert torch.equal(resize(again, (2, 2)), dense(mask)), "there and back"
    with pytest.raises(ValueError, match="no grid"):
        resize(Mask(torch.tensor([[0]]), 4), (2, 2))


def test_replace_puts_the_token_where_it_was_chosen():
    values, token = torch.zeros(2, 5, 3), torch.ones(3)
    assert torch.equal(replace(SHORT, values, token)[..., 0] == 1, dense(SHORT))
