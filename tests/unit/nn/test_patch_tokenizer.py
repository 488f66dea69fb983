import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.losses.masked import normalised_patches
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.types import View

RANKS = [((12,), (4,)), ((8, 12), (4, 3)), ((4, 6, 8), (2, 3, 4))]


@pytest.mark.parametrize(("size", "patch"), RANKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_targets_lead_back_to_the_view(size, patch, channels):
    view = View(torch.randn(2, channels, *size))
    tokenizer = PatchTokenizer(len(size), channels, patch, 8)
    assert torch.equal(tokenizer.reconstruct(tokenizer.targets(view), view), view.x)
    tokens = tokenizer(view)
    assert tokens.valid is None and tokenizer.embed_values(tokens.values).shape == (2, tokens.count, 8)
    assert tokenizer.target_valid(view) is None


def test_uneven_views_are_padded_with_invalid_cells():
    view = View(torch.randn(2, 1, 10, 9))
    tokenizer = PatchTokenizer(2, 1, (4, 4), 8)
    tokens = tokenizer(view)
    assert tokens.grid == (3, 3) and tokens.valid is None, "every token still holds a real cell"
    valid = tokenizer.target_valid(view)
    assert valid.sum() == 2 * 90 and valid.shape == (2, 9, 16)
    assert torch.equal(tokenizer.reconstruct(tokenizer.targets(view), view), view.x)
    strict = PatchTokenizer(2, 1, (4, 4), 8, min_valid=0.3)(view)
    # The last column holds a quarter of its cells, the last row half of them.
    assert strict.valid[0].view(3, 3).tolist() == [[True, True, False], [True, True, False], [True, True, False]]


def test_token_validity_follows_the_cells():
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    valid[:, :4, :4] = False
    valid[:, 4:, 4:7] = False
    view = View(torch.randn(1, 1, 8, 8), valid=valid)
    assert PatchTokenizer(2, 1, (4, 4), 8)(view).valid.tolist() == [[False, True, True, True]]
    assert PatchTokenizer(2, 1, (4, 4), 8, min_valid=0.5)(view).valid.tolist() == [[False, True, True, False]]


def test_extent_is_physical():
    spacing = torch.tensor([[2.0, 0.5], [1.0, 1.0]])
    tokens = PatchTokenizer(2, 1, (4, 4), 8)(View(torch.zeros(2, 1, 8, 16), spacing=spacing))
    torch.testing.assert_close(tokens.extent, torch.tensor([[16.0, 8.0], [8.0, 16.0]]))
    assert PatchTokenizer(2, 1, (4, 4), 8)(View(torch.zeros(2, 1, 8, 16))).extent[0].tolist() == [8.0, 16.0]


def test_zero_prediction_shows_the_unbiased_variance():
    n = 16 * 16 * 3
    view = View(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double())
    tokenizer = PatchTokenizer(2, 3, (16, 16), 8)
    target = tokenizer.targets(view)
    error = tokenizer.loss(torch.zeros_like(target), target)
    assert error.mean().item() == pytest.approx((n - 1) / n, abs=1e-5)


def test_constant_patch_costs_nothing_and_has_a_finite_gradient():
    tokenizer = PatchTokenizer(1, 1, (4,), 8)
    prediction = torch.zeros(1, 2, 4, requires_grad=True)
    error = tokenizer.loss(prediction, torch.full((1, 2, 4), 7.0))
    error.sum().backward()
    assert (error == 0).all() and torch.isfinite(prediction.grad).all()


def test_content_undoes_the_normalisation():
    tokenizer = PatchTokenizer(2, 1, (4, 4), 8)
    target = 5 + 3 * torch.randn(2, 4, 16).double()
    valid = torch.rand(2, 4, 16) > 0.2
    for mask in (None, valid):
        content = tokenizer.to_content(normalised_patches(target, mask), target, mask)
        keep = torch.ones_like(valid) if mask is None else mask
        torch.testing.assert_close(content[keep], target[keep], atol=1e-5, rtol=1e-5)
    assert tokenizer.to_content(torch.zeros_like(target), target).std(-1).max() < 1e-9


def test_raw_patches_without_embedding():
    view = View(torch.randn(2, 2, 8))
    tokenizer = PatchTokenizer(1, 2, (4,), None)
    assert torch.equal(tokenizer(view).values, tokenizer.targets(view)) and tokenizer.embed_dim == 8


def test_wrong_view_is_named():
    with pytest.raises(ConfigError, match=r"2 channels of rank 2 got a view of shape \(1, 3, 8, 8\)"):
        PatchTokenizer(2, 2, (4, 4), 8)(View(torch.zeros(1, 3, 8, 8)))
