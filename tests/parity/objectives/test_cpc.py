"""Card B35. There is no official code, and no test trains the failing control with batch norm (see the docstring)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.losses import future_info_nce, info_nce
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import built, make, small, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout

B, T, J, D = 3, 5, 2, 4


def predicted(first: int, horizons: int, lanes: int = J) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return [draw(B, T - k, lanes, D) for k in range(first, first + horizons)], draw(B, T, lanes, D)


@pytest.mark.parametrize("negatives", ["all", "own", "others"])
@pytest.mark.parametrize("holes", [False, True])
def test_loss_written_out_with_loops(negatives: str, holes: bool) -> None:
    first = 2
    ahead, z = predicted(first, 3)
    valid = torch.rand(B, T, J, generator=torch.Generator().manual_seed(5)) < 0.7 if holes else None
    places = [(b, t, j) for b in range(B) for t in range(first, T) for j in range(J)]
    kept = [p for p in places if valid is None or valid[p]]
    per_horizon = []
    for k, prediction in enumerate(ahead, start=first):
        terms = []
        for b, t, j in [(b, t, j) for b in range(B) for t in range(T - k) for j in range(J)]:
            target = (b, t + k, j)
            if target not in kept:
                continue
            who = {"all": set(range(B)), "own": {b}, "others": set(range(B)) - {b}}[negatives]
            candidates = {target, *(p for p in kept if p[0] in who)}
            score = {p: float(prediction[b, t, j] @ z[p]) for p in candidates}
            terms.append(math.log(sum(map(math.exp, score.values()))) - score[target])
        per_horizon.append(sum(terms) / len(terms))
    found = float(future_info_nce(ahead, z, first, valid, negatives))
    assert found == pytest.approx(sum(per_horizon) / 3, abs=1e-9)


@pytest.mark.parametrize(("negatives", "count"), [("all", 24), ("own", 8), ("others", 17)])
def test_constant_scores_give_the_logarithm_of_the_candidates(negatives: str, count: int) -> None:
    ahead, z = predicted(1, 2)
    loss = future_info_nce([torch.zeros_like(a) for a in ahead], z, 1, negatives=negatives)
    assert float(loss) == pytest.approx(math.log(count), abs=1e-9)
    method, backbone = built("cpc", negatives=negatives)
    for w in method.maps:
        torch.nn.init.zeros_(w.weight)
    start = float(total_of(method(backbone, small_views(method, toy_batch(8)))).total)
    assert start == pytest.approx(method.trivial(8), abs=1e-5)


def test_one_horizon_and_one_target_is_info_nce() -> None:
    q, k = (F.normalize(x, dim=1) for x in torch.randn(2, 6, D, dtype=torch.float64))
    z = torch.stack((torch.randn_like(k), k), dim=1)[:, :, None]
    torch.testing.assert_close(future_info_nce([q[:, None, None] / 0.2], z, 1), info_nce(q, k, 0.2))


def test_horizons_count_alike_however_many_targets_they_have() -> None:
    ahead, z = predicted(1, 4)
    joint = future_info_nce(ahead, z, 1)
    zero = [torch.zeros_like(a) for a in ahead]
    n = math.log(B * (T - 1) * J)
    for number in range(4):  # replacing a horizon's predictions moves the mean by a quarter of its own change
        other = [zero[k] if k == number else a for k, a in enumerate(ahead)]
        alone = [ahead[k] if k == number else a for k, a in enumerate(zero)]
        change = future_info_nce(alone, z, 1) - n
        torch.testing.assert_close(joint - future_info_nce(other, z, 1), change)


def test_a_markov_chains_information_is_approached_from_below() -> None:
    """The exact critic `ln p(next | now) / p(next)` of a chain over four states."""
    move = 0.7 * torch.eye(4, dtype=torch.float64).roll(1, 1) + 0.3 / 4
    information = float((move * (4 * move).log()).sum() / 4)  # the stationary distribution is uniform
    bounds, generator = [], torch.Generator().manual_seed(0)
    for count in (2, 8, 512):
        found = []
        for _ in range(4096 // count):
            now = torch.randint(4, (count,), generator=generator)
            later = torch.multinomial(move[now], 1, generator=generator)[:, 0]
            ahead = (4 * move).log()[now][:, None, None]
            z = F.one_hot(torch.stack((now, later), dim=1), 4).double()[:, :, None]
            found.append(math.log(count) - float(future_info_nce([ahead], z, 1)))
        bounds.append(sum(found) / len(found))
    assert bounds[0] < 0.7 * information < 0.8 * information < bounds[1] < bounds[2], (bounds, information)
    assert abs(bounds[2] - information) < 0.1 * information


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_context_is_causal(rank: int) -> None:
    method, backbone = built("cpc", rank, horizons=1)
    view = small_views(method, toy_batch(2, rank), rank)[0]
    x = view.x.clone().requires_grad_()
    z, valid = method.encoded(backbone, view.replace(x=x))
    assert z.shape[1:3] == (4, 4 ** (rank - 1)) and valid is None
    summary = method.summary(z, None)
    for t in range(4):
        slope = torch.autograd.grad(summary[:, t].sum(), x, retain_graph=True)[0]
        last = 4 * (t + 1)  # segments are four cells long
        axis = 2 + method.axis
        assert slope.narrow(axis, last, 16 - last).abs().sum() == 0
        assert slope.narrow(axis, 0, last).abs().sum() > 0


def test_other_sequences_enter_as_candidates_only() -> None:
    ahead, z = predicted(1, 1)
    z = z.requires_grad_()
    own = torch.autograd.grad(future_info_nce(ahead, z, 1, negatives="own"), z)[0]
    single = [a[:1] for a in ahead]
    alone = torch.autograd.grad(future_info_nce(single, z[:1], 1), z)[0]
    torch.testing.assert_close(own[0], alone[0] / B)
    assert alone[1:].abs().sum() == 0 and (own[:, 0] == 0).all()  # what nobody predicts is no candidate


def test_segments_follow_the_layout() -> None:
    layout = toy_layout(2)
    method = small("cpc", segments=7, overlap=0.5, first=2, horizons=5)
    make(method, build("vit-pico", layout, ("c0",), (64, 64), (8, 8), depth=1))
    assert method.counts == (7, 7) and len(method.maps) == 5 and method.along(64, 7) == (16, 8)
    few = small("cpc", segments=7, overlap=0.5, first=2, horizons=5)
    make(few, build("vit-pico", layout, ("c0",), (32, 64), (16, 16), depth=1))
    assert few.counts == (3, 7) and len(few.maps) == 1, "segments hold a patch each"
    with pytest.raises(ConfigError, match="2 segments along H"):
        make(
            small("cpc", segments=7, overlap=0.0, first=2),
            build("vit-pico", layout, ("c0",), (32, 64), (16, 16), depth=1),
        )
    signal = small("cpc")
    make(signal, build("vit-pico", toy_layout(1), ("c0",), (64,), (4,), depth=1))
    assert signal.axis == 0 and signal.lanes == 1 and signal.context.input_size * 2 == method.context.input_size
