"""Card B01."""

import torch

from ssl_platform.masking.random import random_masks
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import as_batch, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch


def built():
    torch.manual_seed(0)
    method, backbone = small("mae"), small_backbone()
    method.build(backbone, {})
    return method, backbone


def test_zero_prediction_on_noise_is_n_minus_one_over_n() -> None:
    method, backbone = built()
    for parameter in method.decoder.parameters():
        torch.nn.init.zeros_(parameter)
    views = small_views(method, as_batch(torch.randn(64, 1, 16, 16), 2))
    views[0].x.normal_()
    loss = float(total_of(method(backbone, views)).total)
    assert abs(loss - 15 / 16) < 1e-4  # n = 4 x 4 x 1


def test_pixels_under_masked_tokens_reach_only_the_target() -> None:
    method, backbone = built()
    view = small_views(method, toy_batch(4))[0]
    tokens = backbone.tokenize(view)
    visible, masked = random_masks(tokens, 0.75, view.random)
    hidden = masked.to((16, 16)).view(4, 1, 16, 16)
    changed = view.replace(x=torch.where(hidden, view.x + 3 * torch.randn_like(view.x), view.x))
    a = backbone.encode(tokens, visible).tokens
    b = backbone.encode(backbone.tokenize(changed), visible).tokens
    assert torch.equal(a, b)
    assert visible.index.shape[1] == 4 and masked.index.shape[1] == 12


def test_mask_token_learns_and_constant_patches_are_harmless() -> None:
    method, backbone = built()
    views = small_views(method, as_batch(torch.full((4, 1, 16, 16), 0.5), 2))
    views[0].x.fill_(0.5)
    loss = total_of(method(backbone, views)).total
    loss.backward()
    gradients = [p.grad for p in method.parameters()]
    assert all(torch.isfinite(g).all() for g in gradients)
    method, backbone = built()
    total_of(method(backbone, small_views(method, toy_batch(4)))).total.backward()
    token = next(p for n, p in method.named_parameters() if "mask_token" in n)
    assert float(token.grad.abs().sum()) > 0


def test_every_sample_keeps_another_set() -> None:
    method, backbone = built()
    view = small_views(method, toy_batch(32))[0]
    visible, _ = random_masks(backbone.tokenize(view), 0.75, view.random)
    assert len({tuple(sorted(row)) for row in visible.index.tolist()}) > 28
