"""Card B12, against the published maths written out with convolutions and pixel shuffle.

Swin and its overlapping stem are no backbone of the core. The card's comparisons of fine-tuned encoders need ImageNet
and hours; their small twin is the row of SimMIM in the learning table.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform import losses
from ssl_platform.nn.backbones import build
from ssl_platform.nn.patches import patchify, unpatchify
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.simmim import SimMIM
from ssl_platform.testing.objectives import as_batch, built, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Mask


def test_the_loss_is_the_published_one() -> None:
    """`sum M |x - y| / sum M / C` with a 1x1 convolution and pixel shuffle as decoder."""
    method, backbone = built("simmim", channels=3)
    view = small_views(method, toy_batch(4, channels=3), channels=3)[0]
    loss = total_of(method(backbone, [view])).total

    tokens = backbone.tokenize(view)
    masked = method.mask(backbone, tokens, view).masked
    full = backbone.encode(tokens, replaced=masked, mask_token=method.prediction.mask_token).tokens
    assert full is not None
    head = method.prediction.head
    p, c = 4, 3  # ours orders cells first and channels last, pixel shuffle the other way round
    weight = head.weight.view(p * p, c, -1).transpose(0, 1).reshape(c * p * p, -1, 1, 1)
    bias = head.bias.view(p * p, c).T.reshape(-1)
    image = F.pixel_shuffle(F.conv2d(full.transpose(1, 2).unflatten(2, (4, 4)), weight, bias), p)
    cells = masked.dense().view(4, 1, 4, 4).repeat_interleave(p, 2).repeat_interleave(p, 3)
    expected = ((view.x - image).abs() * cells).sum() / cells.sum() / c
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("patch", [(4,), (2, 4), (2, 4, 2)])
def test_the_order_inside_a_token_is_that_of_the_image(patch: tuple[int, ...]) -> None:
    x = torch.arange(2 * 3 * math.prod(8 for _ in patch), dtype=torch.float64).view(2, 3, *[8] * len(patch))
    values = patchify(x, patch)
    assert torch.equal(unpatchify(values, [8 // p for p in patch], patch, 3), x)
    first = x[(0, slice(None), *(slice(p) for p in patch))]
    assert torch.equal(values[0, 0], first.flatten(1).T.flatten())  # cells, then channels
    only = torch.zeros_like(values)
    only[..., 1::3] = values[..., 1::3]  # a head that copies the second channel
    assert torch.equal(unpatchify(only, [8 // p for p in patch], patch, 3)[:, 1], x[:, 1])


def test_only_masked_valid_values_count_and_each_alike() -> None:
    x, y = (torch.randn(3, 5, 8, dtype=torch.float64) for _ in range(2))
    masked, valid = torch.rand(3, 5) < 0.6, torch.rand(3, 5, 8) < 0.7
    total, count = 0.0, 0
    for b in range(3):
        for k in range(5):
            for t in range(8):
                if masked[b, k] and valid[b, k, t]:
                    total, count = total + abs(float(x[b, k, t] - y[b, k, t])), count + 1
    assert float(losses.masked_error(x, y, masked, valid)) == pytest.approx(total / count)
    changed = torch.where(masked[..., None] & valid, y, torch.full_like(y, torch.nan))
    assert losses.masked_error(x, changed, masked, valid) == losses.masked_error(x, y, masked, valid)
    assert losses.masked_error(x, x) == 0
    assert losses.masked_error(x, y, squared=True) == (x - y).square().mean()


def test_masked_pixels_never_reach_the_encoder() -> None:
    method, backbone = built("simmim")
    view = small_views(method, toy_batch(4))[0]
    tokens = backbone.tokenize(view)
    masked = method.mask(backbone, tokens, view).masked
    assert masked.index.shape[1] == math.ceil(0.6 * 16)
    hidden = masked.to((16, 16)).view(4, 1, 16, 16)
    other = backbone.tokenize(view.replace(x=torch.where(hidden, torch.randn_like(view.x), view.x)))
    token = method.prediction.mask_token
    a, b = (backbone.encode(t, replaced=masked, mask_token=token).tokens for t in (tokens, other))
    assert torch.equal(a, b)


def test_a_unit_of_a_ragged_set_is_masked_in_every_channel_and_sets_take_chamfer() -> None:
    torch.manual_seed(0)
    layout = toy_layout(2, 3, ragged=True)
    backbone = build("vit-pico", layout, ("c0", "c1", "c2"), (16, 16), (4, 4), depth=2, tokenizer="channel")
    method = SimMIM()
    method.build(backbone, {})
    view = small_views(method, as_batch(torch.randn(4, 3, 16, 16), 2), channels=3)[0]
    channel_valid = torch.tensor([[True, True, False]] * 4)
    view = view.replace(channel_valid=channel_valid, channels=("c0", "c1", "c2"))
    masked = method.mask(backbone, backbone.tokenize(view), view).masked.dense().view(4, 3, 16)
    assert torch.equal(masked[:, 0], masked[:, 1]) and not masked[:, 2].any()
    assert (masked[:, 0].sum(1) == 10).all()
    total_of(method(backbone, [view])).total.backward()

    points = toy_layout(points=True)
    names = tuple(c.name for c in points.channels)
    backbone = build("vit-pico", points, names, (64,), (8,), depth=2)
    method = SimMIM()
    method.build(backbone, {})
    raw = toy_batch(4, points=True)
    part = raw.reads[0]["main"]
    view = view.replace(x=part.data, channels=part.channels, channel_valid=None, spacing=None, valid=None)
    loss = total_of(method(backbone, [view])).total
    tokens = backbone.tokenize(view)
    masked_set: Mask = method.mask(backbone, tokens, view).masked
    target: Tensor = masked_set.gather(backbone.targets(view))
    head = method.prediction.head
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    centred = total_of(method(backbone, [view])).total
    expected = target.unflatten(-1, (8, 3)).square().sum(-1)
    torch.testing.assert_close(centred, (expected.mean(-1) + expected.amin(-1)).mean())
    assert torch.isfinite(loss)
