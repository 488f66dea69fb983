"""Gradient histograms: closed forms, quarter turns, and loops in float64 written from the definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ssl_platform.nn.channel_tokenizer import ChannelTokenizer
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.targets.hog import cell_of, hog, hog_bins, hog_tokens, hog_width
from ssl_platform.types import View


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_constant_has_no_gradient(rank: int) -> None:
    assert not hog(torch.full((2, 3, *[8] * rank), 0.7), (4,) * rank)[0].any()


def test_edges_and_ramps_light_one_bin_each_and_another_one() -> None:
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 7:] = 1.0
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    lit = set()
    for x in (edge, edge.transpose(2, 3), -edge, ramp, ramp.transpose(2, 3)):
        found = hog(x, (16, 16))[0].flatten()
        assert sorted(found.tolist()) == [0.0] * 8 + [1.0]
        lit.add(int(found.argmax()))
    assert lit == {0, 4}
    line = hog(torch.arange(8.0).expand(1, 1, 8), (4,))[0]
    assert line.tolist() == [[[1.0, 1.0], [0.0, 0.0]]]
    for axis in range(3):
        box = torch.arange(8.0).view([8 if a == axis else 1 for a in range(3)]).expand(1, 1, 8, 8, 8)
        assert sorted(hog(box, (8, 8, 8))[0].flatten().tolist()) == [0.0] * 12 + [1.0]


def test_a_quarter_turn_permutes_bins() -> None:
    """By half of an even number in the plane, and by the turn of the 13 axes in space."""
    x = image(2, 3, 16, 16)
    plain = hog(x, (4, 4), bins=8)[0].view(2, 3, 8, 4, 4)
    turned = hog(x.rot90(1, (2, 3)), (4, 4), bins=8)[0].view(2, 3, 8, 4, 4)
    torch.testing.assert_close(turned, plain.rot90(1, (3, 4)).roll(4, dims=2))

    x = image(1, 1, 8, 8, 8)
    plain, turned = (hog(v, (4, 4, 4))[0] for v in (x, x.rot90(1, (3, 4))))
    plain = plain.rot90(1, (3, 4))
    order = torch.cdist(turned[0].flatten(1), plain[0].flatten(1)).argmin(1)
    assert sorted(order.tolist()) == list(range(13)) and order.tolist() != list(range(13))
    torch.testing.assert_close(turned[0], plain[0, order])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_cell_has_unit_length(rank: int) -> None:
    bins = hog_bins(rank)
    found = hog(image(2, 3, *[8] * rank), (4,) * rank)[0].unflatten(1, (3, bins))
    torch.testing.assert_close(found.norm(dim=2), torch.ones_like(found[:, :, 0]))


def by_loops(x: Tensor, cell: int, bins: int) -> Tensor:
    """The published definition for one channel, pixel by pixel."""
    h, w = x.shape
    found = torch.zeros(bins, h // cell, w // cell, dtype=torch.float64)
    kernel = ((1, 0, -1), (2, 0, -2), (1, 0, -1))

    def at(i: int, j: int) -> float:
        i, j = abs(i), abs(j)
        return float(x[2 * (h - 1) - i if i >= h else i, 2 * (w - 1) - j if j >= w else j])

    for i in range(h):
        for j in range(w):
            near = [[at(i + a - 1, j + b - 1) for b in range(3)] for a in range(3)]
            gx = sum(kernel[a][b] * near[a][b] for a in range(3) for b in range(3))
            gy = sum(kernel[b][a] * near[a][b] for a in range(3) for b in range(3))
            number = math.floor(bins * math.atan2(gx, gy) / math.pi) % bins
            found[number, i // cell, j // cell] += math.hypot(gx, gy)
    length = found.square().sum(0).sqrt()
    return found / length.where(length > 0, 1.0)


def test_parity_with_the_published_definition() -> None:
    x = image(1, 2, 16, 8, seed=3)
    found = hog(x, (8, 8))[0].view(2, 9, 2, 1)
    for c in range(2):
        torch.testing.assert_close(found[c], by_loops(x[0, c], 8, 9))


def test_tokens_hold_their_cells_and_slices_are_planes() -> None:
    tokenizer = PatchTokenizer(2, 3, (16, 16), 8)
    view = View(image(2, 3, 32, 48))
    tokens, real = hog_tokens(view, tokenizer, (8, 8))
    assert tokens.shape == (2, 6, 108) == (2, 6, hog_width(tokenizer, (8, 8))) and real is None
    maps = hog(view.x, (8, 8))[0]
    torch.testing.assert_close(tokens[:, 1].view(2, 2, 2, 27), maps[:, :, :2, 2:4].permute(0, 2, 3, 1))
    many = PatchTokenizer(2, 10, (16, 16), 8)
    assert hog_tokens(View(image(1, 10, 16, 16)), many, (8, 8))[0].shape[-1] == 9 * 10 * 4

    ragged = ChannelTokenizer(2, ("a", "b", "c"), (16, 16), 8)
    each, real = hog_tokens(view.replace(channel_valid=torch.tensor([[True, False, True]] * 2)), ragged, (8, 8))
    torch.testing.assert_close(each.view(2, 3, 6, 4, 9).permute(0, 2, 3, 1, 4).flatten(2), tokens)
    assert real is not None and real.view(2, 3, -1).all(-1).tolist() == [[True, False, True]] * 2

    clip = image(1, 1, 4, 8, 8)
    planes = hog(clip, (1, 8, 8), axes=2)[0][0, :, :, 0, 0]
    torch.testing.assert_close(planes, torch.stack([hog(clip[:, :, t], (8, 8))[0].flatten() for t in range(4)], 1))


def test_gradients_at_invalid_cells_count_nowhere() -> None:
    x = image(1, 1, 8, 16)
    valid = torch.ones(1, 8, 16, dtype=torch.bool)
    valid[..., 8:] = False
    outcomes = []
    for fill in (0.0, 5.0):
        filled = torch.where(valid[:, None], x, fill)
        maps, real = hog(filled, (4, 4), valid=valid)
        outcomes.append(maps)
        assert real is not None and real[0, 0].tolist() == [[True, True, False, False]] * 2
    assert torch.equal(*outcomes) and not outcomes[0][..., 2:].any()
    _, real = hog_tokens(View(x[..., :10]), PatchTokenizer(2, 1, (8, 8), 8), (2, 2))
    assert real is not None and real.view(1, 2, 4, 4, 9)[0, 1, 0, :, 0].tolist() == [True, False, False, False]


def test_cells_divide_the_patch() -> None:
    assert cell_of((16, 16), 8) == (8, 8) and cell_of((2, 14, 16), 8) == (2, 7, 8) and cell_of((4,), 8) == (4,)
