"""Views of equal size as one."""

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry, View


def view(rows, start, role="global", **changes):
    index = torch.arange(start, start + rows)
    geometry = Geometry(torch.eye(2).repeat(rows, 1, 1) * (start + 1), torch.zeros(rows, 2), index)
    fields = {
        "x": torch.full((rows, 1, 4, 4), float(start)),
        "channels": ("a",),
        "role": role,
        "index": index,
        "group": index * 10,
        "spacing": torch.ones(rows, 2),
        "geometry": geometry,
        "draws": Draws.at(0, index),
        "meta": {"age": index.float()},
        "params": {"gain": torch.ones(rows, 1)},
    }
    return View(**{**fields, **changes})


def test_everything_is_joined_in_order():
    both = View.cat([view(2, 0), view(3, 7)])
    assert both.x.shape == (5, 1, 4, 4) and both.role == "global"
    assert both.index.tolist() == [0, 1, 7, 8, 9] and both.group.tolist() == [0, 10, 70, 80, 90]
    assert both.geometry.matrix[:, 0, 0].tolist() == [1, 1, 8, 8, 8]
    assert both.draws.keys.equal(torch.cat([Draws.at(0, torch.arange(2)).keys, Draws.at(0, torch.arange(7, 10)).keys]))
    assert both.meta["age"].shape == (5,) and both.params["gain"].shape == (5, 1)
    assert both.valid is None and both.label is None


def test_missing_validity_counts_as_valid():
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    channels = torch.zeros(2, 1, dtype=torch.bool)
    both = View.cat([view(2, 0, valid=mask, channel_valid=channels), view(3, 2)])
    assert both.valid.sum() == 3 * 16 and both.valid[2:].all()
    assert both.channel_valid.flatten().tolist() == [False, False, True, True, True]


def test_facts_that_some_lack_are_left_out():
    both = View.cat([view(2, 0, "global", label=torch.zeros(2)), view(2, 2, "local", geometry=None, params={})])
    assert both.label is None and both.geometry is None and both.params == {} and both.role == "global+local"


def test_unlike_shapes_are_refused():
    with pytest.raises(ValueError, match="equal shape"):
        View.cat([view(2, 0), view(2, 0, x=torch.zeros(2, 1, 5, 4))])
    with pytest.raises(ValueError, match="at least one"):
        View.cat([])
