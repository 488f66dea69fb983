"""Spectral groups: every band once, groups told apart, absent bands without effect."""

import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.types import View
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.nets.bands import families, micrometres_of
from ssl_platform_multispectral.nets.group_tokenizer import GroupTokenizer

LAYOUT = Multispectral.layout
GROUPS = [[0, 2], [1], [3, 4, 5]]


def tokenizer(groups=GROUPS, channels=6):
    torch.manual_seed(0)
    return GroupTokenizer(channels, groups, (4, 4), 16)


def view(channels=6, **changes):
    return View(torch.randn(2, channels, 10, 8, generator=torch.Generator().manual_seed(1)), **changes)


def test_bands_that_see_alike_are_one_group():
    names = ("S2-B02", "S2-B05", "S2-B08", "S2-B11", "OLI-B10", "S1-VV", "S2-B04")
    assert families(LAYOUT, names) == [[0, 6], [1], [2], [3], [4], [5]]


def test_a_band_without_a_wavelength_is_named():
    assert micrometres_of(LAYOUT, ("S2-B04", "S1-VV")) == [0.6646, 3.75]
    with pytest.raises(ConfigError, match="channel 'mystery' has no known wavelength"):
        micrometres_of(LAYOUT, ("S2-B04", "mystery"))


def test_tokens_come_group_by_group():
    tokens = tokenizer()(view())
    assert tokens.values.shape == (2, 3 * 6, 16) and tokens.valid is None
    assert tokens.kind[0].tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert torch.equal(tokens.coords[:, :6], tokens.coords[:, 6:12])


def test_changing_a_band_changes_the_tokens_of_its_group_only():
    net, first = tokenizer(), view()
    second = first.replace(x=first.x.clone())
    second.x[:, 1] += 1
    changed = (net(first).values != net(second).values).any(-1)[0]
    assert changed.tolist() == [False] * 6 + [True] * 6 + [False] * 6


def test_targets_come_back_as_the_view():
    net, seen = tokenizer(), view()
    assert torch.equal(net.reconstruct(net.targets(seen), seen), seen.x)
    real = net.target_valid(seen)
    # Of a token's contents, those of narrower groups are as many as the group has bands.
    assert real[0, 0].sum() == 2 * 16 and real[0, 6].sum() == 16 and real[0, 12].sum() == 3 * 16


def test_a_group_that_a_scene_lacks_gives_invalid_tokens():
    kept = torch.tensor([[True] * 6, [True, False, True, False, False, True]])
    tokens = tokenizer()(view(channel_valid=kept))
    assert tokens.valid[0].all()
    assert tokens.valid[1].tolist() == [True] * 6 + [False] * 6 + [True] * 6
    real = tokenizer().target_valid(view(channel_valid=kept))
    assert not real[1, 6:12].any() and real[1, 12].sum() == 16


@pytest.mark.parametrize("groups", [[[0, 1]], [[0, 1, 2], [2, 3, 4, 5]], [[0, 1, 2, 3, 4, 6]]])
def test_groups_must_hold_every_band_once(groups):
    with pytest.raises(ConfigError, match="each of 6 bands once"):
        tokenizer(groups)
