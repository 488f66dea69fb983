"""Card 097: a view inside another view, decoded with the outer view as memory."""

import torch
from torch import nn

from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbones import build
from ssl_platform.nn.decoder import CrossDecoder
from ssl_platform.objectives.base import Objective
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss


class CropMAE(Objective):
    needs = Plan(
        views=(
            ViewSpec("outer", scale=(0.5, 1.0), photometric=False),
            ViewSpec("inner", scale=(0.3, 0.6), inside="outer", photometric=False),
        ),
        offers=("tokens", "drop"),
    )

    def build(self, backbone, models):
        self.decoder = CrossDecoder(backbone.embed_dim, backbone.tokenizer.target_dim, 48, 2, 4)

    def forward(self, backbone, views, memory=True):
        outer, inner = views
        tokens = backbone.tokenize(inner)
        visible, masked = random_masks(tokens, 0.875, inner.random)
        seen = backbone(outer)
        seen = seen if memory else torch_zeroed(seen)
        prediction = self.decoder(backbone.encode(tokens, visible), masked.gather(tokens.coords), memory=seen)
        error = backbone.tokenizer.loss(prediction, masked.gather(backbone.targets(inner)))
        return Loss(masked_mean(error, masked.valid), watch={"visible": visible.index})


def torch_zeroed(features):
    features.tokens = torch.zeros_like(features.tokens)
    return features


def test_inner_view_lies_in_the_outer_one_and_memory_is_used():
    torch.manual_seed(0)
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)
    assert isinstance(backbone, nn.Module)
    method = CropMAE()
    done = fit(method, backbone, layout, lambda n: toy_batch(16, start=16 * (n % 2)), 12, window=(16, 16), lr=2e-3)
    outer, inner = done.views
    assert (inner.geometry.overlap(outer.geometry) > 1 - 1e-4).all()
    assert not torch.allclose(inner.geometry.matrix, outer.geometry.matrix)
    assert done.last.watch["visible"].shape[1] == 2
    assert done.losses[-1] < done.losses[0]
    with torch.no_grad():
        with_memory = method(backbone, done.views).total
        without = method(backbone, done.views, memory=False).total
    assert not torch.equal(with_memory, without)
