"""TokenLearner (card 179) and its fuser, alone and inside a ViT."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ssl_platform.errors import ConfigError
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.nn.token_learner import TokenFuser, TokenLearner
from ssl_platform.testing.objectives import ITEMS, make, small, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Channel, Layout, View

B, N, D, S = 3, 20, 16, 4


def vit(**settings: object) -> Backbone:
    torch.manual_seed(0)
    return build("vit-pico", Layout("C H W", (Channel("a"),)), ("a",), (32, 32), (4, 4), depth=4, **settings).eval()


def test_softmax_weights_are_convex_and_sigmoid_sums_are_not() -> None:
    torch.manual_seed(0)
    constant = torch.randn(B, 1, D).expand(-1, N, -1)
    learner = TokenLearner(D, S)
    torch.testing.assert_close(learner.weights(torch.randn(B, N, D)).sum(1), torch.ones(B, S))
    torch.testing.assert_close(learner(constant), constant[:, :S])
    sums = TokenLearner(D, S, weighting="sigmoid")
    assert (sums(constant) - constant[:, :S]).abs().max() > 1  # about N / 2 times the constant


@pytest.mark.parametrize("weighting", ["softmax", "sigmoid"])
def test_order_means_nothing_and_invalid_tokens_weigh_nothing(weighting: str) -> None:
    torch.manual_seed(0)
    learner, x, order = TokenLearner(D, S, weighting=weighting), torch.randn(B, N, D), torch.randperm(N)
    torch.testing.assert_close(learner(x[:, order]), learner(x))
    valid = torch.arange(N).expand(B, -1) < torch.tensor([[N], [7], [0]])
    full, other = learner(x, valid), learner(torch.where(valid[..., None], x, 99.0), valid)
    assert torch.equal(full, other) and full.isfinite().all()
    torch.testing.assert_close(full[1:2], learner(x[1:2, :7]))


def test_the_fuser_gives_all_places_back() -> None:
    torch.manual_seed(0)
    x, z, fuser = torch.randn(B, N, D), torch.randn(B, S, D), TokenFuser(D, S)
    assert fuser(x, z).shape == x.shape and not torch.equal(fuser(x, z), x)
    nn.init.zeros_(fuser.mix.weight)
    assert torch.equal(fuser(x, z), x)  # nothing to write


def test_frames_keep_tokens_of_their_own() -> None:
    clip = torch.randn(2, 5, N, D)
    assert TokenLearner(D, S)(clip.flatten(0, 1)).unflatten(0, (2, 5)).flatten(1, 2).shape == (2, 5 * S, D)


def test_a_vit_saves_what_its_later_blocks_do_not_see() -> None:
    x = View(torch.randn(2, 1, 32, 32))

    def flops(net: Backbone) -> int:
        with FlopCounterMode(display=False) as counter:
            net(x)
        return counter.get_total_flops()

    plain, half = vit(), vit(learned_tokens=8)
    assert flops(half) < 0.65 * flops(plain)  # half the blocks work on 9 tokens instead of 65
    out = half(x)
    assert out.tokens.shape == plain(x).tokens.shape and out.grid == (8, 8)
    seen: list[int] = []
    half.blocks[-1].register_forward_hook(lambda block, args, y: seen.append(y.shape[1]))
    half(x)
    assert seen == [1 + 8]
    assert "taps" not in half.offers
    with pytest.raises(ConfigError, match=r"backbone\.learned_after=0\.9"):
        vit(learned_tokens=8, learned_after=0.9)


def test_invalid_cells_and_hidden_tokens_stay_unseen() -> None:
    net, x = vit(learned_tokens=4), torch.randn(2, 1, 32, 32)
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[0, 12:] = False
    a, b = (net(View(torch.where(valid[:, None], x, fill), valid=valid)) for fill in (torch.tensor(0.0), torch.nan))
    assert torch.equal(a.tokens, b.tokens) and torch.equal(a.pooled, b.pooled)
    assert net.encode(tokens := net.tokenize(View(x)), random_masks(tokens, 0.75, _draws())[0]).tokens.shape[1] == 16


def _draws():
    from ssl_platform.draws import Draws

    return Draws.at(0, torch.arange(2))


@pytest.mark.parametrize("name", ["mae", "byol"])
def test_objectives_train_every_parameter_of_it(name: str) -> None:
    torch.manual_seed(0)
    names = tuple(c.name for c in toy_layout().channels)
    backbone = build("vit-pico", toy_layout(), names, (16, 16), (4, 4), depth=2, learned_tokens=2)
    method = small(name)
    make(method, backbone)
    method(backbone, small_views(method, toy_batch(4, items=ITEMS))).total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in backbone.parameters())


def test_one_token_finds_the_one_informative_patch() -> None:
    """A patch is marked and holds the answer, all others hold noise that drowns it in their mean."""

    def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        x = 2 * torch.randn(64, 32, D, generator=generator)
        place, answer = torch.randint(0, 32, (64,), generator=generator), torch.randn(64, generator=generator)
        x[..., 0] = 0
        x[torch.arange(64), place, 0], x[torch.arange(64), place, 1] = 6.0, 2.0 * answer
        return x, place, answer

    torch.manual_seed(0)
    learner, unexplained = TokenLearner(D, 1), {}
    for name, pool in (("learner", lambda x: learner(x)[:, 0]), ("mean", lambda x: x.mean(1))):
        head = nn.Linear(D, 1)
        optimiser = torch.optim.Adam([*learner.parameters(), *head.parameters()], lr=1e-2)
        for step in range(150):
            x, _, answer = batch(step)
            loss = (head(pool(x))[:, 0] - answer).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        x, place, answer = batch(10_000)
        unexplained[name] = float((head(pool(x))[:, 0] - answer).square().mean() / answer.var())
        if name == "learner":
            assert learner.weights(x)[torch.arange(64), place].mean() > 0.8
    assert unexplained["learner"] < 0.2 and unexplained["mean"] > 0.8
