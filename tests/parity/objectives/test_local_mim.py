"""Card 039; the histograms themselves are held to their definition in tests/unit/targets/test_hog.py.

Swin's stages are no backbone of the core. The card's ImageNet figures have no small twin beyond the learning table.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.masking.random import random_masks
from ssl_platform.masking.unit import unit_of
from ssl_platform.nn.scale_decoder import ScaleDecoder, halvings, row_major
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.local_mim import LocalMIM, LocalMIMConfig, cells_at
from ssl_platform.targets.cells import cell_contents
from ssl_platform.targets.hog import hog
from ssl_platform.testing.objectives import built, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch


def test_the_top_layer_with_pixels_is_mae_with_a_decoder_of_one_block() -> None:
    one = {"decoder_dim": 48, "decoder_heads": 4, "decoder_depth": 1}
    mae, backbone = built("mae", channels=2, **one)
    local = LocalMIM(LocalMIMConfig(layers=(-1,), scales=(1.0,), target="pixels", **one))
    local.build(backbone, {})
    local.decoders[0].load_state_dict(mae.decoder.state_dict())
    views = small_views(mae, toy_batch(4, channels=2), channels=2)
    torch.testing.assert_close(total_of(local(backbone, views)).total, total_of(mae(backbone, views)).total)
    assert local.trivial(4) == mae.trivial(4)


def test_published_layers_and_scales() -> None:
    torch.manual_seed(0)
    backbone = small_backbone(depth=6, dim=32, heads=2)
    method = LocalMIM(LocalMIMConfig(decoder_dim=32, decoder_heads=2))
    method.build(backbone, {})
    assert method.taps == ["block.1", "block.3", "block.3", ""]
    assert [cells_at((16, 16), s) for s in (4, 2, 1, 0.5)] == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert cells_at((2, 16, 16), 4) == (1, 4, 4)
    with pytest.raises(ValueError, match="equal length"):
        LocalMIMConfig(layers=(1,))
    with pytest.raises(ValueError, match="coarser"):
        LocalMIMConfig(target="pixels")


def test_a_scale_teaches_no_block_above_its_layer() -> None:
    torch.manual_seed(0)
    backbone = small_backbone(depth=4, dim=32, heads=2)
    method = LocalMIM(LocalMIMConfig(layers=(0, 1, 2, 3), decoder_dim=32, decoder_heads=2))
    method.build(backbone, {})
    views = small_views(method, toy_batch(4))
    for number in range(4):
        backbone.zero_grad()
        total_of(method(backbone, views)).terms[f"scale{number}"].backward()
        reached = [block.mlp.fc1.weight.grad is not None for block in backbone.blocks]
        assert reached == [block <= number for block in range(4)]


def test_weights_of_masked_tokens_are_masked_fractions_of_coarser_cells() -> None:
    """The published coarse loss, over cells weighted by their masked fraction, box by box."""
    method, backbone = built("local-mim", layers=(-1,), scales=(0.5,))
    view = small_views(method, toy_batch(4))[0]
    tokens = backbone.tokenize(view)
    visible, masked = random_masks(tokens, 0.75, view.random)
    features = backbone.encode(tokens, visible)
    decoder = method.decoders[0]
    box = unit_of((4, 4), (2, 2), 16, torch.device("cpu"))

    chosen = masked.dense().view(4, 1, 4, 4).double()
    fraction = F.avg_pool2d(chosen, 2)
    assert ((fraction >= 0) & (fraction <= 1)).all()
    torch.testing.assert_close(fraction.mean(), chosen.mean())

    context = decoder.context(features)
    x = torch.cat([context, decoder.queries(masked.gather(tokens.coords))], dim=1)
    for block in decoder.blocks:
        x = block(x)
    x = decoder.norm(x)[:, features.prefix.shape[1] :]
    order = torch.cat([visible.index, masked.index], dim=1)
    grid = torch.zeros_like(x).scatter(1, order[..., None].expand_as(x), x)
    coarse = decoder.head(F.avg_pool2d(grid.transpose(1, 2).unflatten(2, (4, 4)), 2).flatten(2).transpose(1, 2))
    target = hog(backbone.normalise(view).x, (8, 8))[0].flatten(2).transpose(1, 2)
    error = (coarse - target).square().mean(-1)
    weight = fraction.flatten(1).float()
    expected = (error * weight).sum() / weight.sum()

    found = decoder.decode(features, visible, masked, tokens.coords, box=box)
    torch.testing.assert_close(found, coarse.gather(1, box[masked.index][..., None].expand(-1, -1, 9)))
    torch.testing.assert_close(total_of(method(backbone, [view])).total, expected)


def test_finer_cells_are_transposed_convolutions() -> None:
    torch.manual_seed(0)
    decoder = ScaleDecoder(8, 5, 8, 1, 2, factor=(4, 2)).double()
    assert decoder.levels == [(2, 2), (2, 1)] == halvings((4, 2)) and halvings((1, 1)) == []
    x = torch.randn(3, 6, 8, dtype=torch.float64)  # a grid of 2 x 3 tokens
    y = x.transpose(1, 2).unflatten(2, (2, 3))
    for number, (layer, level) in enumerate(zip(decoder.grow, decoder.levels, strict=True)):
        kernel = layer.weight.view(*level, 8, 8).permute(3, 2, 0, 1)  # in, out, height, width
        if number:
            y = F.gelu(decoder.grow_norm[0](y.movedim(1, -1))).movedim(-1, 1)
        y = F.conv_transpose2d(y, kernel, stride=level) + _spread(layer.bias.view(*level, 8), y.shape[2:])
    expected = decoder.head(y.movedim(1, -1))  # [B, 8, 6, 5]
    found = decoder._cells(x).view(3, 2, 3, 4, 2, 5).permute(0, 1, 3, 2, 4, 5).reshape(3, 8, 6, 5)
    torch.testing.assert_close(found, expected)
    levels = [(2, 2, 2), (1, 2, 2)]
    counted = torch.arange(32).view(1, 1, 8, 4, 1)
    assert sorted(row_major(counted, levels).flatten().tolist()) == list(range(32))


def _spread(bias: Tensor, grid: tuple[int, ...]) -> Tensor:
    """A bias an offset inside the stride, repeated over a grid: `[1, D, H, W]`."""
    return bias.permute(2, 0, 1).repeat(1, *grid)[None]


def test_contents_of_cells() -> None:
    image = torch.arange(2 * 16.0).view(1, 1, 4, 8)
    values = torch.stack([image[0, 0, :, :4].flatten(), image[0, 0, :, 4:].flatten()])[None]  # tokens of 4 x 4
    cells = cell_contents(values, (4, 4), (2, 2))
    assert cells.shape == (1, 2, 4, 4)
    assert torch.equal(cells[0, 1, 2], image[0, 0, 2:, 4:6].flatten())
    assert torch.equal(cell_contents(values, (4, 4), (4, 4))[:, :, 0], values)
