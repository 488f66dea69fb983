"""Card 120. Detection on VOC and object discovery need its images; the learning check on toy data is the twin."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.objectives.pretext.context_prediction import FRINGES
from ssl_platform.objectives.pretext.shortcuts import one_channel, projected
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, View
from ssl_platform.views.tiles import TileGrid, cut


def built(rank: int = 2, channels: int = 1, **settings):
    torch.manual_seed(0)
    method, backbone = small("context-prediction", hidden=16, **settings), small_backbone(rank, channels)
    method.build(backbone, {})
    return method, backbone


@pytest.mark.parametrize(("rank", "answers"), [(1, 2), (2, 8), (3, 26)])
def test_opposite_places_have_opposite_answers(rank: int, answers: int) -> None:
    method, _ = built(rank)
    assert method.answers == answers
    places = [p for p in method.grid.places if p != (1,) * rank]
    for number, place in enumerate(places):
        assert tuple(2 - p for p in place) == places[answers - 1 - number]
    view = small_views(method, toy_batch(32, rank), rank)[0]
    start = method.grid.centred(view.x.device)
    patches, answer = method.patches(view)
    middle, other = patches.x.unflatten(0, (32, 2)).unbind(1)
    assert middle.shape == other.shape and set(answer.flatten().tolist()) <= set(range(answers))
    direction = start[torch.tensor([method.grid.places.index(p) for p in places])] - start[len(places) // 2]
    assert torch.equal(direction, -direction.flip(0))


def test_without_gap_and_jitter_the_patches_tile_the_view() -> None:
    method, _ = built(gap=0.0, jitter=0.0, pairs=8, colour="keep")
    method.grid = TileGrid.over((15, 15), 3)
    view = View(torch.rand(2, 1, 15, 15), draws=Draws.at(0, torch.arange(2)))
    patches, answer = method.patches(view)
    level = view.x.mean((2, 3), keepdim=True)
    for b in range(2):
        rebuilt = torch.zeros(15, 15)
        numbers = [4, *(a + (a >= 4) for a in answer[b].tolist())]
        for number, patch in zip(numbers, patches.x.view(2, 9, 5, 5)[b], strict=True):
            row, column = divmod(number, 3)
            own = view.x[b, 0, 5 * row : 5 * row + 5, 5 * column : 5 * column + 5]
            rebuilt[5 * row : 5 * row + 5, 5 * column : 5 * column + 5] = patch - level[b, 0] + own.mean()
        torch.testing.assert_close(rebuilt, view.x[b, 0])


def test_patches_keep_their_gap_and_move_by_no_more_than_the_jitter() -> None:
    method, _ = built()
    view = View(torch.zeros(64, 1, 48, 48), draws=Draws.at(0, torch.arange(64)))
    method.grid = TileGrid.over((48, 48), 3, 2 / 3)
    jitter = method._jitter(view, torch.zeros(64, 2, 2))
    assert method.grid.tile == (10, 10) and jitter.unique().tolist() == [-1, 0, 1]


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_dropping_colours_leaves_one_channel_and_faint_noise(noise: float) -> None:
    x = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 3 + 5
    whole = View(x)
    tiles = cut(whole, torch.tensor([[[0, 0], [16, 16]]]).expand(16, -1, -1), (16, 16))
    dropped = one_channel(tiles, whole, Draws.at(0, torch.arange(16)), noise)
    same = (dropped.x == tiles.x).flatten(2).all(2)
    assert same.sum(1).eq(1).all() and len(same.float().argmax(1).unique()) == 3
    deviation = dropped.x.flatten(2).std(2)
    kept = tiles.x.flatten(2).std(2)[same]
    ratio = deviation[~same].view(32, 2) / kept[:, None]
    assert (ratio / noise - 1).abs().max() < 0.2


def test_projection_annihilates_its_direction_and_nothing_else() -> None:
    direction = torch.tensor(FRINGES)
    view = View(torch.randn(2, 3, 4, 4))
    out = projected(view, direction).x
    torch.testing.assert_close(torch.einsum("c,bchw->bhw", direction, out), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)
    for other in (torch.tensor([1.0, 1.0, 1.0]), torch.tensor([1.0, 0.0, -1.0])):
        torch.testing.assert_close(torch.einsum("c,bchw->bhw", other, out), torch.einsum("c,bchw->bhw", other, view.x))
    with pytest.raises(ConfigError, match="the data has 2 channels"):
        built(channels=2, colour="project")


# ------------------------------------------------------------------------------------------------- a lens' aberration
def seen_through_a_lens(start: int, count: int) -> View:
    """`[count, 3, 24, 24]`: one texture in all channels, the green one magnified by a tenth about the middle."""
    generator = torch.Generator().manual_seed(start)
    texture = F.avg_pool2d(torch.randn(count, 1, 36, 36, generator=generator), 3, 1)
    axis = torch.linspace(-0.7, 0.7, 24)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], -1).expand(count, -1, -1, -1)
    red, green = (F.grid_sample(texture, grid / zoom, align_corners=False) for zoom in (1.0, 1.1))
    return View(torch.cat([red, green, red], 1), draws=Draws.at(0, torch.arange(start, start + count)))


def colour_statistics(patches: torch.Tensor) -> torch.Tensor:
    """`[n, 12]`: mean colours, and how far each pair of channels is shifted along each axis."""
    found = [patches.mean((2, 3))]
    down, right = patches.diff(dim=2), patches.diff(dim=3)
    for a, b in itertools.combinations(range(3), 2):
        difference = patches[:, a] - patches[:, b]
        for slope, part in ((down[:, a], difference[:, 1:]), (right[:, a], difference[:, :, 1:])):
            found.append(((slope * part).mean((1, 2)) / slope.square().mean((1, 2)).clamp_min(1e-6))[:, None])
    return torch.cat(found, 1)


@pytest.mark.parametrize(("colour", "least", "most"), [("keep", 0.3, 1.0), ("drop", 0.0, 0.17), ("project", 0.0, 0.17)])
def test_colour_fringes_tell_the_place_only_without_the_transforms(colour: str, least: float, most: float) -> None:
    """Ridge regression on statistics of raw colour; chance is one in eight."""
    method, _ = built(channels=3, colour=colour)
    method.grid = TileGrid.over((24, 24), 3, 0.9)
    features, answers = [], []
    for start in (0, 4000):
        patches, answer = method.patches(seen_through_a_lens(start, 1500))
        features.append(colour_statistics(patches.x.unflatten(0, (1500, 2))[:, 1]))
        answers.append(answer[:, 0])
    mean, std = features[0].mean(0), features[0].std(0).clamp_min(1e-3)
    train, test = (torch.cat([(f - mean) / std, torch.ones(len(f), 1)], 1) for f in features)
    ridge = train.T @ train + 10 * torch.eye(train.shape[1])
    weights = torch.linalg.solve(ridge, train.T @ F.one_hot(answers[0], 8).float())
    right = float(((test @ weights).argmax(1) == answers[1]).float().mean())
    assert least < right < most


def test_loss_is_the_mean_cross_entropy_of_the_pairs() -> None:
    """Written again with loops in float64, for several neighbours of a middle patch."""
    method, backbone = built(pairs=3, channels=2)
    method.double().eval(), backbone.double().eval()
    view = small_views(method, toy_batch(4, channels=2), channels=2)[0]
    view = view.replace(x=view.x.double())
    patches, answer = method.patches(view)
    losses = []
    for b, k in itertools.product(range(4), range(3)):
        codes = [
            backbone(View(patches.x[row : row + 1], channels=view.channels, spacing=view.spacing[b : b + 1])).pooled
            for row in (4 * b, 4 * b + 1 + k)
        ]
        losses.append(F.cross_entropy(method.head(torch.cat(codes, 1)), answer[b, k : k + 1]))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(method(backbone, [view]).total, expected, atol=1e-9, rtol=0)
    assert len({tuple(row) for row in answer.tolist()}) > 1 and all(len(set(row)) == 3 for row in answer.tolist())


def test_chance_is_the_logarithm_of_the_places() -> None:
    method, backbone = built()
    last = [m for m in method.head if isinstance(m, torch.nn.Linear)][-1]
    torch.nn.init.zeros_(last.weight), torch.nn.init.zeros_(last.bias)
    loss = method(backbone, small_views(method, toy_batch(4))).total
    assert abs(float(loss.detach()) - math.log(8)) < 1e-6 and abs(method.trivial(4) - math.log(8)) < 1e-9


def rings(start: int, count: int, seed: int) -> Batch:
    """Rings about the middle of random brightness: a patch's curvature tells where it lies."""
    generator = torch.Generator().manual_seed(start + 1000 * seed)
    axis = torch.linspace(-1, 1, 24)
    radius = (axis[:, None] ** 2 + axis**2).sqrt() * 8
    phase = 0.5 * torch.rand(count, 1, 1, generator=generator)
    x = torch.sin(radius + phase) + 0.1 * torch.randn(count, 24, 24, generator=generator)
    return as_batch(x[:, None], 2)


@pytest.mark.slow
def test_places_are_learnt_above_chance() -> None:
    def accuracy(seed: int) -> float:
        torch.manual_seed(seed)
        method = small("context-prediction", hidden=64, jitter=0.0)
        backbone = small_backbone()
        done = fit(method, backbone, toy_layout(2), lambda n: rings(n, 32, seed), 80, window=(24, 24), lr=2e-3)
        return float(done.last.terms["accuracy"])

    assert min(accuracy(seed) for seed in range(3)) > 0.3
