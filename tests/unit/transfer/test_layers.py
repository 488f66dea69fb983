"""Candidate vectors of blocks: how tokens are pooled."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.transfer.layers import Layers, regions, spread
from ssl_platform.types import Features

ENCODER = SimpleNamespace(model=SimpleNamespace(offers=("taps",), depth=2))


def features(grid, valid=None):
    """Two samples with a class token and a token for every place of a grid."""
    places = 1
    for n in grid or (6,):
        places *= n
    taps = {f"block.{i}": torch.randn(2, 1 + places, 4) for i in range(2)}
    return Features(torch.randn(2, 4), torch.randn(2, 1, 4), taps=taps, grid=grid, valid=valid)


def test_bands_are_means_along_the_last_axis_side_by_side():
    given = features((3, 5))
    layers = Layers(ENCODER, [1], ["mean", "bands"])
    found = layers(given)
    tokens = given.taps["block.1"][:, 1:].view(2, 3, 5, 4)
    torch.testing.assert_close(found[:, layers.parts["block.1/bands"]], tokens.mean(2).flatten(1))
    own = found[:, layers.parts["block.1/bands"]].view(2, 3, 4).mean(1)
    torch.testing.assert_close(own, found[:, layers.parts["block.1/mean"]])


def test_bands_leave_invalid_places_out():
    valid = torch.ones(2, 3, 5, dtype=torch.bool)
    valid[0, :, 3:] = False
    valid[1, 2] = False
    given = features((3, 5), valid.flatten(1))
    layers = Layers(ENCODER, [0], ["bands"])
    found = layers(given)[:, layers.parts["block.0/bands"]].view(2, 3, 4)
    tokens = given.taps["block.0"][:, 1:].view(2, 3, 5, 4)
    torch.testing.assert_close(found[0], tokens[0, :, :3].mean(1))
    assert (found[1, 2] == 0).all()


def test_point_sets_and_sequences_have_no_bands():
    for grid in (None, (6,)):
        layers = Layers(ENCODER, [0, 1], ["bands", "mean"])
        layers(features(grid))
        assert set(layers.parts) == {"pooled", "block.0/mean", "block.1/mean", "block.0+1/mean"}


@pytest.mark.parametrize("grid", [(7,), (6, 5), (3, 4, 2)])
def test_regions_are_the_adaptive_average_of_a_grid(grid):
    """The same as torch's adaptive pooling, which divides an axis in the same way."""
    tokens = torch.randn(2, *grid, 4)
    sides = [min(3, n) for n in grid]
    pool = [None, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d][len(grid)]
    expected = pool(tokens.movedim(-1, 1), sides).movedim(1, -1).flatten(1)
    torch.testing.assert_close(regions(tokens), expected)


def test_regions_are_thirds_of_what_is_valid():
    valid = torch.zeros(2, 4, 9, dtype=torch.bool)
    valid[0, :, :3] = True
    valid[1, :, 3:] = True
    valid[1, 0] = False
    tokens = torch.randn(2, 4, 9, 5)
    found = regions(tokens, valid)
    torch.testing.assert_close(found[0], regions(tokens[:1, :, :3])[0])
    torch.testing.assert_close(found[1], regions(tokens[1:, 1:, 3:])[0])
    hole = tokens.clone()
    hole[~valid] = 1e6
    torch.testing.assert_close(regions(hole, valid), found)


def test_nothing_valid_is_zero():
    assert (regions(torch.randn(2, 4, 4, 3), torch.zeros(2, 4, 4, dtype=torch.bool)) == 0).all()


def test_regions_stand_beside_other_poolings():
    given = features((3, 5))
    layers = Layers(ENCODER, [1], ["mean", "regions"])
    found = layers(given)
    tokens = given.taps["block.1"][:, 1:].view(2, 3, 5, 4)
    torch.testing.assert_close(found[:, layers.parts["block.1/regions"]], regions(tokens))


def test_spread_is_mean_and_deviation_of_valid_tokens():
    tokens, valid = torch.randn(2, 7, 5), torch.arange(7) < torch.tensor([[7], [4]])
    found = spread(tokens, valid)
    for row, count in enumerate((7, 4)):
        own = tokens[row, :count]
        torch.testing.assert_close(found[row], torch.cat([own.mean(0), own.std(0, correction=0)]))
    torch.testing.assert_close(spread(tokens), torch.cat([tokens.mean(1), tokens.std(1, correction=0)], 1))
    assert (spread(tokens, torch.zeros(2, 7, dtype=torch.bool)) == 0).all()


def test_spread_stands_beside_other_poolings():
    given = features((3, 5))
    layers = Layers(ENCODER, [1], ["spread"])
    found = layers(given)
    torch.testing.assert_close(found[:, layers.parts["block.1/spread"]], spread(given.taps["block.1"][:, 1:]))
