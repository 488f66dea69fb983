"""Card B33. Detection on VOC needs its images; held-out accuracy and features on toy data are the twin."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.draws import Draws
from ssl_platform.objectives.pretext.permutations import permutation_set
from ssl_platform.objectives.pretext.shortcuts import greyed, levelled
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, View
from ssl_platform.views.tiles import moments


def built(rank: int = 2, channels: int = 1, **settings):
    torch.manual_seed(0)
    method, backbone = small("jigsaw", hidden=16, **settings), small_backbone(rank, channels)
    method.build(backbone, {})
    return method, backbone


def mean_distance(rows: torch.Tensor) -> float:
    """Mean Hamming distance over pairs of rows, by loops."""
    pairs = list(itertools.combinations(rows.tolist(), 2))
    return sum(sum(a != b for a, b in zip(p, q, strict=True)) for p, q in pairs) / len(pairs)


def test_permutations_are_unlike_far_apart_reproducible_and_stored() -> None:
    found = permutation_set(9, 100)
    assert found.shape == (100, 9) and len({tuple(row) for row in found.tolist()}) == 100
    assert all(sorted(row) == list(range(9)) for row in found.tolist())
    drawn = torch.rand(100, 9, generator=torch.Generator().manual_seed(1)).argsort(1)
    assert mean_distance(found) > max(8.0, mean_distance(drawn)) + 0.03
    assert torch.equal(found, permutation_set(9, 100)) and not torch.equal(found, permutation_set(9, 100, seed=1))
    method, _ = built(permutations=12)
    assert torch.equal(method.state_dict()["permutations"], permutation_set(9, 12))


def test_greedy_choice_is_the_textbook_one() -> None:
    """Among all permutations of 5, each further one has the largest mean distance to those before it."""
    found, everything = permutation_set(5, 8).tolist(), list(itertools.permutations(range(5)))
    assert len(permutation_set(3, 100)) == 6, "there are no more"
    for count in range(1, 8):
        before, rest = found[:count], [list(row) for row in everything if list(row) not in found[:count]]
        assert _far(found[count], before) == max(_far(row, before) for row in rest)


def _far(row: list[int], others: list[list[int]]) -> int:
    """Places in which a permutation differs from the others, summed."""
    return sum(a != b for other in others for a, b in zip(other, row, strict=True))


def test_the_inverse_permutation_recovers_the_order_and_identity_alone_is_one_answer() -> None:
    method, _ = built()
    view = small_views(method, toy_batch(8))[0]
    order, answer = method.puzzle(view)
    tiles = method.tiles(view).x.unflatten(0, (8, 9))
    shuffled = torch.stack([tiles[b, order[b]] for b in range(8)])
    assert not torch.equal(shuffled, tiles) and len(answer.unique()) > 1
    assert torch.equal(torch.stack([shuffled[b, order[b].argsort()] for b in range(8)]), tiles)
    assert torch.equal(order, method.permutations[answer])
    method.permutations = torch.arange(9)[None]
    order, answer = method.puzzle(view)
    assert answer.eq(0).all() and order.eq(torch.arange(9)).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_loss_is_that_of_encoding_the_shuffled_tiles(rank: int) -> None:
    """Written again with loops: every tile cut out, put in order, encoded by itself; float64."""
    method, backbone = built(rank)
    method.double().eval(), backbone.double().eval()
    view = small_views(method, toy_batch(3, rank), rank)[0]
    view = view.replace(x=view.x.double())
    order, answer = method.puzzle(view)
    tiles, start = method.tiles(view), method.grid.scattered(view.random)
    total = 0.0
    for b in range(3):
        features = []
        for place in range(3**rank):
            which = int(order[b, place])
            box = tuple(slice(int(s), int(s) + n) for s, n in zip(start[b, which], method.grid.tile, strict=True))
            cells = view.x[(b, slice(None), *box)]
            flat, whole = cells.flatten(1), view.x[b].flatten(1)
            unit = (flat - flat.mean(1, keepdim=True)) / flat.std(1, correction=0, keepdim=True)
            level = whole.mean(1, keepdim=True) + whole.std(1, correction=0, keepdim=True) * unit
            torch.testing.assert_close(tiles.x[b * 3**rank + which], level.view_as(cells))
            one = View(level.view(1, *cells.shape), channels=view.channels, spacing=view.spacing[b : b + 1])
            features.append(F.relu(method.tile_head(backbone(one).pooled)))
        logits = method.head(torch.cat(features, 1))
        total += float(F.cross_entropy(logits, answer[b : b + 1]).detach()) / 3
    assert abs(float(method(backbone, [view]).total.detach()) - total) < 1e-9


def test_chance_is_the_logarithm_of_the_permutations() -> None:
    method, backbone = built()
    torch.nn.init.zeros_(method.head.weight), torch.nn.init.zeros_(method.head.bias)
    loss = method(backbone, small_views(method, toy_batch(4))).total
    assert abs(float(loss.detach()) - math.log(6)) < 1e-6 and abs(method.trivial(4) - math.log(6)) < 1e-9


def test_levelled_tiles_tell_nothing_by_their_statistics_and_grey_channels_are_alike() -> None:
    method, _ = built(channels=3, grey=1.0)
    view = small_views(method, toy_batch(4, channels=3), channels=3)[0]
    mean, std = moments(method.tiles(view))
    torch.testing.assert_close(mean, mean[::9].repeat_interleave(9, 0), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, std[::9].repeat_interleave(9, 0), atol=1e-4, rtol=0)
    grey = greyed(view, torch.tensor([True, False, True, False]))
    level, spread = moments(grey)
    unit = (grey.x - level) / spread
    torch.testing.assert_close(unit[::2, :1].expand(-1, 3, -1, -1), unit[::2], atol=1e-4, rtol=0)
    assert torch.equal(grey.x[1::2], view.x[1::2])


def test_a_flat_tile_stays_finite_and_flat() -> None:
    whole = View(torch.rand(1, 1, 8, 8))
    tiles = levelled(View(torch.full((1, 1, 2, 2), 7.0)), whole)
    torch.testing.assert_close(tiles.x, whole.x.mean().expand(1, 1, 2, 2))


def slopes(start: int, count: int = 64) -> View:
    """Plain gradients of random steepness, up to the right and downwards."""
    generator = torch.Generator().manual_seed(start)
    steep = 0.5 + torch.rand(count, 2, 1, 1, generator=generator)
    axis = torch.linspace(0, 1, 16)
    x = steep[:, :1] * axis[:, None] + steep[:, 1:] * axis + 0.01 * torch.randn(count, 1, 16, 16, generator=generator)
    return View(x, draws=Draws.at(0, torch.arange(start, start + count)))


@pytest.mark.parametrize(("settings", "solved"), [({"tile": 1.0, "level": False}, True), ({}, False)])
def test_gradients_are_a_shortcut_without_gaps_and_levelling(settings: dict, solved: bool) -> None:
    """A classifier of one layer on raw tiles: solved by the brightness at their edges, or at chance."""
    method, _ = built(**settings)
    torch.manual_seed(0)
    layer = torch.nn.Linear(9 * math.prod(method.grid.tile), 6)
    optimiser = torch.optim.Adam(layer.parameters(), 4e-2)

    def puzzle(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        view = slopes(100 * number)
        order, answer = method.puzzle(view)
        tiles = method.tiles(view).x.unflatten(0, (len(view), 9))
        return torch.stack([t[o] for t, o in zip(tiles, order, strict=True)]).flatten(1), answer

    for number in range(25):
        x, answer = puzzle(number)
        loss = F.cross_entropy(layer(x - x.mean()), answer)
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    x, answer = zip(*(puzzle(100 + n) for n in range(4)), strict=True)
    right = float((layer(torch.cat(x) - torch.cat(x).mean()).argmax(1) == torch.cat(answer)).float().mean())
    assert right > 0.95 if solved else right < 0.27


@pytest.mark.slow
@pytest.mark.parametrize("rank", [2, 3])
def test_accuracy_rises_from_chance_on_held_out_samples(rank: int) -> None:
    """Bright corners: a sample's tiles differ by where they lie. The last batches were never seen before."""

    def accuracy(seed: int) -> float:
        def batch(n: int) -> Batch:
            generator = torch.Generator().manual_seed(n + 500 * seed)
            axes = torch.meshgrid(*[torch.linspace(-1, 1, 16)] * rank, indexing="ij")
            near = torch.stack([torch.sin(3 * a) for a in axes]).prod(0) + sum(axes)
            return as_batch(near + 0.1 * torch.randn(16, 1, *[16] * rank, generator=generator), rank)

        torch.manual_seed(seed)
        method, backbone = small("jigsaw", side=2, hidden=32, level=False), small_backbone(rank)
        done = fit(method, backbone, toy_layout(rank), batch, 60, window=(16,) * rank, lr=2e-3)
        return float(done.last.terms["accuracy"])

    assert min(accuracy(seed) for seed in range(3)) > 0.5
