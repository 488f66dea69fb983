"""Card 097. DAVIS, VIP and JHMDB need their videos.

Not here yet: what a trained model loses without its memory, and labels carried along synthetic moving objects. On toy
images of 16 cells the memory is not found within 250 steps, so both need larger scenes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbones import build
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Layout, Views
from ssl_platform.views.maker import ViewMaker


def built(**settings):
    torch.manual_seed(0)
    method, backbone = small("cropmae", **settings), small_backbone()
    method.build(backbone, {})
    return method, backbone


def scaled_layout(rank: int = 2) -> Layout:
    """The toy layout, where samples may also be shown larger or smaller."""
    layout = toy_layout(rank)
    return replace(layout, symmetries=layout.symmetries | {"scale"})


def scaled_views(method, batch: int, rank: int = 2) -> Views:
    """Views of a toy batch."""
    maker = ViewMaker(scaled_layout(rank), method.plan(method.config), seed=0, window=(16,) * rank)
    return maker(toy_batch(batch, rank))


def test_two_of_196_tokens_are_seen_and_all_of_the_memory() -> None:
    torch.manual_seed(0)
    method, backbone = small("cropmae"), build("vit-pico", toy_layout(), ("c0",), (14, 14), (1, 1), depth=1)
    method.build(backbone, {})
    maker = ViewMaker(toy_layout(), method.plan(method.config), seed=0, window=(14, 14))
    views, seen, encode = maker(toy_batch(3, size=14)), [], backbone.encode
    backbone.encode = lambda tokens, visible=None, **more: (
        seen.append(tokens.count if visible is None else visible.index.shape[1]) or encode(tokens, visible, **more)
    )
    method(backbone, views)
    assert method.config.mask_ratio == 0.985 and seen == [196, 2]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_local_box_lies_in_the_global_one_and_is_flipped_on_its_own(rank: int) -> None:
    method = small("cropmae")
    outer, inner = scaled_views(method, 64, rank)
    assert (inner.geometry.overlap(outer.geometry) > 1 - 1e-4).all()
    share = inner.params["crop.extent"].prod(1) / outer.params["crop.extent"].prod(1)
    assert share.min() > 0.3 - 1e-4 and share.max() < 0.6 + 1e-4
    if rank > 1:
        assert 0.2 < (inner.params["crop.flip"][:, -1] != outer.params["crop.flip"][:, -1]).float().mean() < 0.8


@pytest.mark.parametrize(("crops", "overlap"), [("local-to-global", None), ("random", None), ("same", 1.0)])
def test_other_pairs_of_crops(crops: str, overlap: float | None) -> None:
    method, backbone = built(crops=crops)
    views = scaled_views(method, 16)
    shown, decoded = views
    if crops == "local-to-global":
        assert (shown.geometry.overlap(decoded.geometry) > 1 - 1e-4).all()
    found = decoded.geometry.overlap(shown.geometry)
    assert (found > 1 - 1e-4).all() if overlap else found.min() < 0.9
    assert torch.isfinite(method(backbone, views).total)


def test_loss_is_the_mean_over_masked_patches_normalised_one_by_one() -> None:
    """Written again with loops in float64; visible patches count nothing, though changing them changes the loss."""
    method, backbone = built(mask_ratio=0.75)
    method.double(), backbone.double()
    torch.nn.init.normal_(method.decoder.head.weight, std=0.1)
    views = Views([v.replace(x=v.x.double()) for v in small_views(method, toy_batch(3))])
    predictions, run = [], method.decoder.forward
    method.decoder.forward = lambda *a, **k: predictions.append(run(*a, **k)) or predictions[-1]
    loss = method(backbone, views).total
    decoded = views[1]
    visible, masked = random_masks(backbone.tokenize(decoded), 0.75, decoded.random)
    total = 0.0
    for b in range(3):
        for k, place in enumerate(masked.index[b].tolist()):
            i, j = divmod(place, 4)
            patch = decoded.x[b, 0, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].flatten()
            unit = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            total += float((predictions[0][b, k] - unit).square().mean().detach()) / (3 * 12)
    assert abs(float(loss.detach()) - total) < 1e-9

    targets, at = backbone.targets, visible.dense()[..., None]
    backbone.targets = lambda view: torch.where(at, 100.0, targets(view))
    assert float(method(backbone, views).total.detach()) == float(loss.detach())
    backbone.targets = targets
    shown = visible.to((16, 16)).view(3, 1, 16, 16)
    other = decoded.replace(x=torch.where(shown, decoded.x + 1, decoded.x))
    assert float(method(backbone, Views([views[0], other])).total.detach()) != float(loss.detach())
