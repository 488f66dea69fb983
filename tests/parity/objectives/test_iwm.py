"""Card 230. Tuning the predictor on a frozen encoder is a transfer protocol, not part of the objective."""

from dataclasses import replace

import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.errors import ConfigError
from ssl_platform.masking.block import block_masks
from ssl_platform.measures.ranking import mean_reciprocal_rank
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.predictive.action import action_of
from ssl_platform.objectives.predictive.iwm import IWM
from ssl_platform.plan import ViewSpec
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, built, small, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, Mask, Step, Views
from ssl_platform.views.maker import ViewMaker


def maker_of(*extra: ViewSpec, **settings) -> ViewMaker:
    plan = IWM.plan().replace(views=(*IWM.plan().views, *extra))
    return ViewMaker(toy_layout(), plan, ViewsConfig(**settings), seed=0, window=(16, 16))


def test_views_share_their_crop_and_the_target_is_only_mildly_changed() -> None:
    source, target = maker_of()(toy_batch(8))
    torch.testing.assert_close(source.geometry.matrix, target.geometry.matrix)
    assert "noise.std" in source.params and "noise.std" not in target.params
    assert not torch.equal(source.params["gain.factor"], target.params["gain.factor"])


def test_an_action_is_zero_between_views_of_equal_parameters_and_counts_what_one_lacks() -> None:
    source, target = maker_of(off=["noise"])(toy_batch(8))
    action = action_of(source, target, 6)
    expected = torch.cat([source.params[n] - target.params[n] for n in ("gain.factor", "offset.shift")], 1)
    torch.testing.assert_close(action, torch.nn.functional.pad(expected, (0, 4)))
    assert action_of(source, source, 6).abs().max() == 0
    noisy, _ = maker_of()(toy_batch(8))
    torch.testing.assert_close(action_of(noisy, target, 6)[:, 1:2], noisy.params["noise.std"])
    torch.testing.assert_close(action_of(target, noisy, 6)[:, 1:2], -noisy.params["noise.std"])
    with pytest.raises(ConfigError, match="actions=2 is less than the 3 parameters"):
        action_of(noisy, target, 2)


def test_recorded_parameters_remake_the_views_from_the_crop() -> None:
    plain = ViewSpec("plain", like="source", photometric=False)
    source, target, crop = maker_of(plain, off=["noise"])(toy_batch(8))
    for view in (source, target):
        factor, shift = view.params["gain.factor"], view.params["offset.shift"]  # about zero: the bounds start there
        torch.testing.assert_close(view.x, crop.x * factor[..., None, None] + shift[..., None, None])


def test_without_an_action_it_is_i_jepas_loss_on_the_same_masks() -> None:
    method, backbone = built("iwm", conditioning=False)
    method.double(), backbone.double()
    torch.nn.init.normal_(method.predictor.head.weight)
    source, target = (v.replace(x=v.x.double()) for v in small_views(method, toy_batch(3)))
    tokens = backbone.tokenize(source)
    visible, masked = block_masks(tokens, 1 - (1 - 0.175) ** 4, source.random, blocks=4, aspect=method.config.aspect)
    z = method.predictor(backbone.encode(tokens, visible), masked.gather(tokens.coords))
    h = method.teacher.backbone(target).tokens
    h = (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    total = sum(
        (z[b, k] - h[b, n]).square().mean() for b in range(3) for k, n in enumerate(masked.index[b].tolist())
    ) / masked.index.numel()  # fmt: skip
    loss = total_of(method(backbone, Views([source, target]))).total
    assert loss.item() == pytest.approx(total.item(), rel=1e-9)


def test_the_action_reaches_the_prediction_and_no_gradient_the_teacher() -> None:
    method, backbone = built("iwm")
    torch.nn.init.normal_(method.predictor.head.weight)
    views = small_views(method, toy_batch(4))
    tokens = backbone.tokenize(views[0])
    visible, masked = block_masks(tokens, 0.5, views[0].random, blocks=4)
    seen, action = backbone.encode(tokens, visible), action_of(views[0], views[1], 8)
    told, other = (method.predict(seen, tokens, visible, masked, a) for a in (action, -action))
    assert not torch.allclose(told, other)
    total_of(method(backbone, views)).total.backward()
    assert all(p.grad is None for p in method.teacher.parameters())


def test_actions_are_scaled_by_their_running_root_mean_square_and_the_teacher_slows_down() -> None:
    method, backbone = built("iwm", momentum=0.996)
    seen = []
    method.teacher.update = lambda b, heads, momentum: seen.append(round(momentum, 6))
    squares = [torch.full((8,), value) for value in (4.0, 16.0)]
    method.after_step(Step(0, 10), backbone, [{"action_square": s} for s in squares], [])
    torch.testing.assert_close(method.square, torch.full((8,), 10.0))
    method.after_step(Step(5, 10), backbone, [{"action_square": torch.full((8,), 20.0)}], [])
    torch.testing.assert_close(method.square, torch.full((8,), 10.1))
    method.after_step(Step(10, 10), backbone, [{"action_square": squares[0]}], [])
    assert seen == [0.996, 0.998, 1.0]
    torch.testing.assert_close(method.scaled(torch.full((1, 8), 1e9)), torch.full((1, 8), 5.0))


def test_reciprocal_rank_of_sure_and_random_guesses() -> None:
    bank, answer = torch.randn(64, 256, 3), torch.randint(0, 256, (64,))
    right = bank[torch.arange(64), answer]
    assert mean_reciprocal_rank(right, bank, answer) == 1
    chance = float((1 / torch.arange(1, 257)).mean())
    guesses = mean_reciprocal_rank(torch.randn(4000, 3), torch.randn(4000, 256, 3), torch.zeros(4000).long())
    assert abs(float(guesses) - chance) < 0.01 and round(chance, 3) == 0.024


def planes(number: int, batch: int = 64) -> Batch:
    """Images that rise in one direction: what is hidden can be told from what is seen."""
    generator = torch.Generator().manual_seed(number)
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 16)] * 2, indexing="ij"))
    slope = 0.15 * torch.randn(batch, 2, 1, 1, generator=generator)
    made = as_batch((0.5 + (slope * grid).sum(1))[:, None].clamp(0, 1), 2)
    position = torch.arange(number * batch, (number + 1) * batch)
    return replace(made, index=position, group=position, position=position)


@torch.no_grad()
def told_apart(method, encoder, maker, item: int, bank: int = 256) -> tuple[float, float]:
    """Among `bank` changes of one crop: the share of the targets' variance over changes that predictions explain, and
    the reciprocal rank of the true change.
    """
    part = planes(10_000 + item, 1).reads[0]["main"]
    ones = torch.ones(bank, 2)
    many = replace(part, data=part.data.expand(bank, -1, -1, -1), spacing=ones, origin=0 * ones)
    index = torch.full((bank,), item)
    source, target = maker(Batch(({"main": many},), index, index, torch.arange(bank) + 1000 * item))
    first = {name: value[:1].expand_as(value) for name, value in source.params.items()}
    source = source.replace(x=source.x[:1].expand_as(source.x), params=first)
    tokens, hidden = encoder.tokenize(source), [5, 6, 9, 10]  # the middle of 4 x 4 tokens
    rows = ([n for n in range(16) if n not in hidden], hidden)
    visible, masked = (Mask(torch.tensor(row).expand(bank, -1), 16, None, tokens.grid) for row in rows)
    action = action_of(source, target, method.config.actions)
    made = method.predict(encoder.encode(tokens, visible), tokens, visible, masked, action).flatten(1)
    full = method.teacher.backbone(target).tokens
    wanted = masked.gather(torch.nn.functional.layer_norm(full, full.shape[-1:])).flatten(1)
    left = ((made - made.mean(0)) - (wanted - wanted.mean(0))).square().mean()
    rank = mean_reciprocal_rank(made, wanted, torch.arange(bank))
    return float(1 - left / wanted.var(0, correction=0).mean()), float(rank)


@pytest.mark.slow
def test_told_the_action_it_predicts_what_a_change_does_and_untold_it_cannot() -> None:
    """Untold the rank is at chance, 0.024, whatever the training; told it is 0.12, less than the card's 0.2.

    Predictions explain 87 % of what changes do; what they miss of the content is the same for all changes, and shifts
    each prediction towards another change.
    """
    still = ViewsConfig(off=["noise", "flip"], global_size=16, strength=2.0)

    def found(conditioning: bool) -> torch.Tensor:
        torch.manual_seed(0)
        method = small("iwm", conditioning=conditioning, momentum=0.99)
        net = build("vit-pico", toy_layout(), ("c0",), (16, 16), (4, 4), depth=2)
        net.normaliser.set(torch.tensor([0.5]), torch.tensor([0.2]))
        maker = ViewMaker(toy_layout(), method.plan(method.config), still, seed=0, window=(16, 16))
        fit(method, net, toy_layout(), planes, 200, window=(16, 16), lr=2e-3, maker=maker)
        return torch.tensor([told_apart(method, net, maker, item) for item in range(8)]).mean(0)

    (explained, rank), (nothing, chance) = found(True), found(False)
    assert explained > 0.8 and abs(nothing) < 1e-3
    assert chance < 0.03 and rank > 0.1
