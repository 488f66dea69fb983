"""Tokens matched by place and by likeness."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.nn.backbones import build
from ssl_platform.nn.matching import feature_distance, most_alike, nearest_pairs, place_distance, take
from ssl_platform.nn.patches import patch_coords
from ssl_platform.plan import Plan
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Features, Geometry, View
from ssl_platform.views.maker import ViewMaker


def view(matrix: list[list[float]], offset: list[float], grid: tuple[int, ...] = (4, 4)) -> tuple[View, Features]:
    """A view of one sample with its tokens on a grid."""
    x = torch.zeros(1, 1, *(4 * n for n in grid))
    coords = patch_coords(x.shape[2:], (4,) * len(grid), x)
    tokens = torch.zeros(1, coords.shape[1], 3)
    geometry = Geometry(torch.tensor([matrix]), torch.tensor([offset]), torch.zeros(1, dtype=torch.int64))
    return View(x, geometry=geometry), Features(tokens.mean(1), tokens[:, :0], tokens, coords, None, grid)


PLAIN = ([[16.0, 0.0], [0.0, 16.0]], [0.0, 0.0])
FLIPPED = ([[16.0, 0.0], [0.0, -16.0]], [0.0, 16.0])


def test_same_view_and_neighbours() -> None:
    apart = place_distance(*view(*PLAIN), *view(*PLAIN))[0]
    assert torch.equal(apart.argmin(1), torch.arange(16)) and apart.diagonal().eq(0).all()
    assert float(apart[0, 1]) == pytest.approx(1 / math.sqrt(2)) and float(apart[0, 5]) == pytest.approx(1)


def test_a_flip_permutes_and_an_exchange_of_views_transposes() -> None:
    plain, flipped = view(*PLAIN), view(*FLIPPED)
    mirrored = torch.arange(16).view(4, 4).flip(1).flatten()
    assert torch.equal(place_distance(*plain, *flipped)[0], place_distance(*plain, *plain)[0][:, mirrored])
    other = view([[5.0, 0.0], [0.0, 9.0]], [3.0, -1.0], (2, 3))
    torch.testing.assert_close(place_distance(*plain, *other), place_distance(*other, *plain).mT)


def test_against_a_loop() -> None:
    a, b = view([[8.0, 0.0], [0.0, -12.0]], [1.0, 14.0]), view([[0.0, 6.0], [10.0, 0.0]], [2.0, 3.0], (2, 3))
    found = place_distance(*a, *b)[0]
    for i in range(16):
        row, column = divmod(i, 4)
        here = (1 + 8 * (row + 0.5) / 4, 14 - 12 * (column + 0.5) / 4)
        for j in range(6):
            u, v = (j // 3 + 0.5) / 2, (j % 3 + 0.5) / 3
            there = (2 + 6 * v, 3 + 10 * u)
            cell = (max(8 / 4, 6 / 3), max(12 / 4, 10 / 2))
            by_hand = math.sqrt(sum(((p - q) / c) ** 2 for p, q, c in zip(here, there, cell, strict=True)) / 2)
            assert float(found[i, j]) == pytest.approx(by_hand, rel=1e-5)


def test_the_unit_of_an_axis_does_not_matter() -> None:
    a, b = view(*PLAIN), view([[8.0, 0.0], [0.0, 8.0]], [4.0, 2.0])
    seconds = view([[0.016, 0.0], [0.0, 16.0]], [0.0, 0.0]), view([[0.008, 0.0], [0.0, 8.0]], [0.004, 2.0])
    torch.testing.assert_close(place_distance(*a, *b), place_distance(*seconds[0], *seconds[1]))


def test_places_of_point_tokens_are_points_of_the_source() -> None:
    layout, batch = toy_layout(points=True), toy_batch(2, points=True)
    maker = ViewMaker(layout, Plan.augmented(2), ViewsConfig(), seed=0, window=(64,))
    clean = maker.clean(batch)
    backbone = build("vit-pico", layout, ("x", "y", "z"), (64,), (8,), depth=1)
    features = backbone(clean)
    apart = place_distance(clean, features, clean, features)
    assert apart.diagonal(dim1=1, dim2=2).eq(0).all()
    # Distances are those of the raw points the groups are centred on, in equal cells of the view's box.
    assert clean.geometry is not None and features.coords is not None
    cell = clean.geometry.matrix.square().sum(-1).sqrt() * features.coords.shape[1] ** (-1 / 3)
    raw = batch.reads[0]["main"].data[..., :3]
    every = ((raw[:, :, None] - raw[:, None]) / cell[:, None, None]).norm(dim=-1) / math.sqrt(3)
    nearest = (apart.flatten(1)[:, :, None] - every.flatten(1)[:, None]).abs().amin(-1)
    assert float(nearest.max()) < 1e-4


def test_invalid_tokens_are_infinitely_far_and_never_the_likest() -> None:
    a, b = view(*PLAIN), view(*PLAIN)
    b[1].valid = torch.arange(16)[None] % 2 == 0
    apart = place_distance(*a, *b)
    assert apart[0, :, 1::2].isinf().all() and apart[0, :, ::2].isfinite().all()
    x = torch.randn(1, 16, 5, generator=torch.Generator().manual_seed(0))
    assert feature_distance(x, x, b[1].valid)[0, 1].isinf().all()
    assert torch.equal(most_alike(x, 2 * x), torch.arange(16)[None])
    assert (most_alike(x, x, b[1].valid) % 2 == 0).all()


def test_nearest_pairs_against_a_loop() -> None:
    distance = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(0))
    pairs = nearest_pairs(distance, 4)
    for sample in range(3):
        best = sorted((*min((float(distance[sample, i, j]), j) for j in range(5)), i) for i in range(6))[:4]
        assert pairs.first[sample].tolist() == [i for _, _, i in best]
        assert pairs.second[sample].tolist() == [j for _, j, _ in best]
        assert pairs.distance[sample].tolist() == [d for d, _, _ in best]
    assert nearest_pairs(distance, 20).first.shape == (3, 6)


def test_few_valid_tokens_repeat_their_pairs() -> None:
    distance = torch.full((1, 5, 3), torch.inf)
    distance[0, 3, 1], distance[0, 2, 2] = 0.5, 0.25
    assert nearest_pairs(distance, 5).first.tolist() == [[2, 3, 2, 3, 2]]
    nothing = nearest_pairs(torch.full((1, 5, 3), torch.inf), 2)
    assert nothing.first.shape == (1, 2)


def test_take_carries_gradient_and_matching_none() -> None:
    x = torch.randn(2, 4, 3, requires_grad=True)
    index = torch.tensor([[3, 0], [1, 1]])
    take(x, index).sum().backward()
    assert isinstance(x.grad, Tensor) and x.grad[:, :, 0].tolist() == [[1, 0, 0, 1], [0, 2, 0, 0]]
    assert not feature_distance(x, x).requires_grad
