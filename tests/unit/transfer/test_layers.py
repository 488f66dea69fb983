"""Candidate vectors of blocks: how tokens are pooled."""

from types import SimpleNamespace

import torch

from ssl_platform.transfer.layers import Layers
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
