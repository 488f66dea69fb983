"""Boxes of windows: around planted objects, inside the window, whatever else is in the batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform.encoder import Encoder
from ssl_platform.nn.backbones import build
from ssl_platform.transfer.boxes import box_of, centre_box, object_boxes, overlap
from ssl_platform.transfer.protocols.object_discovery import CORRECT, window_boxes
from ssl_platform.types import Channel, Features, Layout, View


class Planted(torch.nn.Module):
    """A net whose tokens are those of an object where a cell of the view is bright, else of a background."""

    offers = frozenset({"tokens"})

    def forward(self, view: View, taps: tuple[str, ...] = ()) -> Features:
        grid = tuple(n // 4 for n in view.x.shape[2:])
        bright = torch.nn.functional.max_pool2d(view.x, 4).flatten(1) > 0.5
        own, other = torch.eye(8)[0], torch.eye(8)[1] - 0.2 * torch.eye(8)[0]
        tokens = torch.where(bright[..., None], own, other)
        return Features(tokens.mean(1), tokens[:, :0], tokens, grid=grid)


def encoder_of(model: Any, patch: tuple[int, ...]) -> Encoder:
    record: Any = SimpleNamespace(backbone=SimpleNamespace(patch=patch))
    return Encoder(model, record)


def test_a_planted_object_gets_exactly_its_box() -> None:
    x = torch.zeros(1, 1, 32, 40)
    x[..., 8:16, 20:32] = 1
    true = object_boxes(x[0, 0].numpy().astype(int), [1])
    assert true[0].tolist() == [[8, 20], [16, 32]] and overlap(true[0], true[0]) == 1
    assert overlap(centre_box((32, 40)), true[0]) < CORRECT, "the middle of the window is no answer"
    for box in window_boxes(encoder_of(Planted(), (4, 4)), View(x))[0].values():
        assert np.array_equal(box, true[0])


def test_boxes_lie_inside_the_window_and_do_not_depend_on_the_batch() -> None:
    """19 x 13 cells in patches of 4 are 5 x 4 tokens, of which the last reach beyond the window."""
    torch.manual_seed(0)
    layout = Layout("C H W", (Channel("a"),))
    encoder = encoder_of(build("vit-pico", layout, ("a",), (19, 13), (4, 4), depth=2), (4, 4))
    x, valid = torch.randn(5, 1, 19, 13), torch.ones(5, 19, 13, dtype=torch.bool)
    view = View(x, valid=valid)
    assert encoder(view).grid == (5, 4)
    together = window_boxes(encoder, view)
    for i, boxes in enumerate(together):
        alone = window_boxes(encoder, View(x[i : i + 1], valid=valid[i : i + 1]))[0]
        for name, (low, high) in boxes.items():
            assert (low >= 0).all() and (low < high).all() and (high <= [19, 13]).all()
            assert np.array_equal(alone[name], boxes[name])


def test_a_box_ends_where_the_view_does() -> None:
    inside = np.zeros((5, 4), dtype=bool)
    inside[3:, 2:] = True
    assert box_of(inside, (4, 4), (19, 13)).tolist() == [[12, 8], [19, 13]]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_overlap_of_boxes_of_any_rank(rank: int) -> None:
    a, b = np.array([[0] * rank, [4] * rank]), np.array([[2] * rank, [6] * rank])
    both = 2**rank
    assert overlap(a, b) == pytest.approx(both / (2 * 4**rank - both))
    assert overlap(a, a + 4) == 0
