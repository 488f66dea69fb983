"""Card B32. The headline figures (VOC, ImageNet) need those sets; the learning check on oriented data is the twin."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.losses.supervised import UNKNOWN
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.pretext.rotation import Rotation
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Layout, View
from ssl_platform.views.moves import Move, closure, told_apart, turns

CUBE = toy_layout(3)
PLAIN = replace(CUBE, symmetries=frozenset())


def built(rank: int = 2, **settings):
    torch.manual_seed(0)
    method, backbone = Rotation(Rotation.Config(**settings)), small_backbone(rank)
    method.build(backbone, {})
    return method, backbone


def test_four_quarter_turns_are_the_identity_bit_for_bit() -> None:
    x = torch.randn(2, 3, 5, 5)
    quarter = Move.quarter(2, 0, 1)
    turned = x
    for count in range(1, 5):
        turned = quarter.values(turned)
        assert torch.equal(turned, torch.rot90(x, count, [2, 3]))
    assert torch.equal(turned, x)


@pytest.mark.parametrize("every", [False, True])
def test_volumes_have_ten_turns_about_the_axes_and_twenty_four_in_all(every: bool) -> None:
    found = turns(PLAIN, (6, 6, 6), every)
    assert len(found) == len(set(found)) == (24 if every else 10)
    assert all(move.determinant == 1 for move in found)
    x = torch.randn(1, 1, 4, 4, 4)
    moved = [move.values(x) for move in found]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(moved, 2))
    assert all(torch.equal(move.inverse().values(m), x) for move, m in zip(found, moved, strict=True))
    expected = [x] + [torch.rot90(x, n, dims) for dims in ([2, 3], [2, 4], [3, 4]) for n in (1, 2, 3)]
    if not every:
        assert all(any(torch.equal(e, m) for m in moved) for e in expected)


def test_moves_form_the_group_of_the_cube() -> None:
    flips = [Move.flip(3, a) for a in range(3)]
    everything = closure([*flips, Move.quarter(3, 0, 1), Move.quarter(3, 1, 2)], 3)
    assert len(everything) == 48 and sum(m.determinant == 1 for m in everything) == 24
    x = torch.randn(1, 2, 3, 3, 3)
    for a, b in itertools.product(everything[::7], everything[::5]):
        assert torch.equal(a.after(b).values(x), a.values(b.values(x)))


def test_turns_that_a_symmetry_makes_alike_are_one_class() -> None:
    """Left-right mirroring leaves four turns; both mirrorings leave two, and quarter turns as well leave none."""

    def count(*symmetries: str) -> int:
        layout = replace(toy_layout(2), symmetries=frozenset(symmetries))
        return len(told_apart(turns(layout, (8, 8)), layout))

    assert [count(), count("flip:W"), count("flip:H", "flip:W"), count("flip:H", "flip:W", "rot90:HW")] == [4, 4, 2, 1]


def test_unlike_sides_and_spacings_leave_half_turns() -> None:
    assert turns(toy_layout(2), (8, 12)) == (Move.identity(2), Move((0, 1), (-1, -1)))
    method, _ = built()
    view = small_views(method, toy_batch(4))[0]
    answers = method.answers(view.replace(spacing=torch.tensor([[1.0, 1.0], [1.0, 2.0]] * 2))).view(4, 4)
    half = [n for n, move in enumerate(method.moves) if move.order == (0, 1)]
    assert (answers[:, ::2] != UNKNOWN).all() and len(half) == 2
    for turn, row in enumerate(answers):
        assert (row[1::2] == (turn if turn in half else UNKNOWN)).all()


def test_nothing_to_tell_is_one_line() -> None:
    layout = replace(toy_layout(2), symmetries=frozenset({"flip:H", "flip:W", "rot90:HW"}))
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=1)
    with pytest.raises(ConfigError, match="no turn whose answer can be told") as caught:
        Rotation().build(backbone, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("rank", "settings", "classes"), [(2, {}, 4), (3, {}, 10), (3, {"turns": "cube"}, 24)])
def test_chance_is_the_logarithm_of_the_classes(rank: int, settings: dict, classes: int) -> None:
    method, backbone = built(rank, **settings)
    torch.nn.init.zeros_(method.head.weight), torch.nn.init.zeros_(method.head.bias)
    loss = method(backbone, small_views(method, toy_batch(2, rank), rank)).total
    assert abs(float(loss.detach()) - math.log(classes)) < 1e-6 and abs(method.trivial(2) - math.log(classes)) < 1e-9


def test_drawn_copies_are_the_turns_their_answers_name() -> None:
    method, _ = built(copies=2)
    every, _ = built()
    view = small_views(method, toy_batch(8))[0]
    all_turns = torch.stack([v.x for v in every.copies(view)])
    answers = method.answers(view).view(2, 8)
    assert (answers[0] != answers[1]).all() and len(answers.unique()) == 4
    for copy, row in zip(method.copies(view), answers, strict=True):
        for sample, turn in enumerate(row.tolist()):
            assert torch.equal(copy.x[sample], all_turns[turn, sample])


# ----------------------------------------------------------------------------------------------- what can be learnt
def arrows(start: int, count: int = 64, size: int = 12) -> torch.Tensor:
    """`[count, 1, size, size]`: bright half upwards, plus a slope to the left or to the right at random."""
    generator = torch.Generator().manual_seed(start)
    axis = torch.linspace(-1, 1, size)
    up, right = -axis[:, None].expand(size, size), axis[None].expand(size, size)
    side = 1.0 - 2.0 * torch.randint(0, 2, (count, 1, 1), generator=generator)
    noise = 0.3 * torch.randn(count, size, size, generator=generator)
    return (up + 0.5 * side * right + noise)[:, None]


def accuracy(data, flip_after: bool = False, steps: int = 50) -> float:
    """Of a linear classifier of the four turns on fresh data."""
    layout = replace(toy_layout(2), symmetries=frozenset())
    moves = turns(layout, (12, 12))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    optimiser = torch.optim.Adam(net.parameters(), 2e-2)

    def turned(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        view = View(data(number))
        x = torch.cat([move(view).x for move in moves])
        if flip_after:
            coin = torch.rand(len(x), generator=torch.Generator().manual_seed(number)) < 0.5
            x = torch.where(coin[:, None, None, None], x.flip(3), x)
        return x, torch.arange(4).repeat_interleave(len(view))

    for number in range(steps):
        x, answer = turned(number)
        loss = torch.nn.functional.cross_entropy(net(x), answer)
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    x, answer = zip(*(turned(1000 + n) for n in range(8)), strict=True)
    return float((net(torch.cat(x)).argmax(1) == torch.cat(answer)).float().mean())


def test_order_of_flip_and_turn() -> None:
    """Arrows up or down turned by a quarter and then mirrored are the other quarter, so those two are a coin's toss."""

    def upright(start: int) -> torch.Tensor:
        return arrows(start)

    assert accuracy(upright) > 0.9
    assert 0.70 < accuracy(upright, flip_after=True) < 0.77


def test_on_data_without_orientation_accuracy_is_chance() -> None:
    noise = lambda n: torch.randn(64, 1, 12, 12, generator=torch.Generator().manual_seed(n))  # noqa: E731
    assert abs(accuracy(noise, steps=40) - 0.25) < 0.04


def test_layouts_without_planes_are_reversed() -> None:
    spectrogram = Layout("C F T", moves=frozenset({"flip:T", "shuffle"}))
    assert turns(spectrogram, (8, 12)) == (Move.identity(2), Move.flip(2, 1))


@pytest.mark.slow
def test_oriented_data_teaches_and_data_without_orientation_does_not() -> None:
    """Accuracy of the pretext after a short run, three seeds: above chance on oriented data, chance on noise."""

    def trained(oriented: bool, seed: int) -> float:
        torch.manual_seed(seed)
        method, backbone = Rotation(), small_backbone()

        def batch(n: int):
            x = arrows(n + 999 * seed, 16, 16) if oriented else torch.randn(16, 1, 16, 16)
            return as_batch(x, 2)

        done = fit(method, backbone, toy_layout(2), batch, 60, window=(16, 16), lr=2e-3)
        return float(done.last.terms["accuracy"])

    assert min(trained(True, seed) for seed in range(3)) > 0.6
    assert max(trained(False, seed) for seed in range(3)) < 0.45
