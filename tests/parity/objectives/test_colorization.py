"""Card B34. Bins are those of single channels (25 of them) where the paper has 313 pairs of a and b; chance is ln Q.

VOC needs its images and AlexNet; features across bands of synthetic spectra are the twin.
"""

from __future__ import annotations

import math

import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.losses import annealed_mean, binned_cross_entropy, rebalanced, soft_bins
from ssl_platform.nn.backbones import build
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, Step

CENTRES = torch.linspace(-3, 3, 25)


def built(rank: int = 2, channels: int = 3, **settings):
    torch.manual_seed(0)
    method, backbone = small("colorization", hidden=16, **settings), small_backbone(rank, channels)
    method.build(backbone, {})
    return method, backbone


def test_bins_come_back_and_soft_targets_are_distributions() -> None:
    coded = soft_bins(CENTRES, CENTRES)
    assert torch.equal(CENTRES[coded.argmax(-1)], CENTRES)
    assert torch.equal(CENTRES[soft_bins(CENTRES[coded.argmax(-1)], CENTRES).argmax(-1)], CENTRES)
    values = torch.linspace(-4, 4, 101)
    soft = soft_bins(values, CENTRES)
    torch.testing.assert_close(soft.sum(-1), torch.ones(101))
    assert ((soft > 0).sum(-1) <= 5).all() and (soft > 0).sum(-1).max() == 5
    hard = soft_bins(values, CENTRES, sigma=1e-4)
    nearest = (values.clamp(-3, 3)[:, None] - CENTRES).abs().argmin(-1)
    assert torch.allclose(hard, torch.nn.functional.one_hot(nearest, 25).float(), atol=1e-6)


def test_soft_target_is_the_gaussian_of_the_paper_written_with_loops() -> None:
    for value in (-0.3, 0.0, 1.37, 2.95):
        distances = sorted((abs(value - float(c)), q) for q, c in enumerate(CENTRES))[:5]
        weights = {q: math.exp(-((d / 0.25) ** 2) / (2 * 0.5**2)) for d, q in distances}
        expected = torch.tensor([weights.get(q, 0.0) / sum(weights.values()) for q in range(25)])
        torch.testing.assert_close(soft_bins(torch.tensor(value), CENTRES), expected, atol=1e-6, rtol=0)


def test_weights_of_rare_bins() -> None:
    prior = torch.rand(3, 25, dtype=torch.float64) ** 4
    prior = prior / prior.sum(-1, keepdim=True)
    weight = rebalanced(prior, 0.5, 0.0)
    assert ((prior * weight).sum(-1) - 1).abs().max() < 1e-6
    assert torch.equal(weight.argsort(-1), prior.argsort(-1, descending=True))
    expected = 1 / (0.5 * prior + 0.5 / 25)
    torch.testing.assert_close(weight / weight[:, :1], expected / expected[:, :1])
    torch.testing.assert_close(rebalanced(prior, 1.0), torch.ones_like(prior))
    smooth = rebalanced(prior, 0.5, 0.5)
    assert smooth.std() < weight.std()


def test_loss_with_equal_weights_is_soft_cross_entropy_and_chance_ln_q() -> None:
    logits, values = torch.randn(7, 3, 25, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    target = soft_bins(values, CENTRES.double())
    uniform = torch.full((3, 25), 1 / 25, dtype=torch.float64)
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1))
    torch.testing.assert_close(binned_cross_entropy(logits, target, rebalanced(uniform, 1.0)), plain)
    chance = binned_cross_entropy(torch.zeros_like(logits), target, rebalanced(uniform))
    assert abs(float(chance) - math.log(25)) < 1e-9 and abs(small("colorization").trivial(4) - math.log(25)) < 1e-9
    assert abs(float(binned_cross_entropy(torch.zeros(4, 313), torch.eye(313)[:4], torch.ones(313))) - 5.746) < 1e-3


def test_annealed_mean_lies_between_mode_and_mean() -> None:
    logits = torch.randn(20, 25, dtype=torch.float64) * 2
    centres = CENTRES.double()
    mean = (logits.softmax(-1) * centres).sum(-1)
    torch.testing.assert_close(annealed_mean(logits, centres, 1.0), mean)
    torch.testing.assert_close(annealed_mean(logits, centres, 1e-4), centres[logits.argmax(-1)])


def test_constant_grey_costs_more_than_the_marginal() -> None:
    generator = torch.Generator().manual_seed(0)
    values = 0.6 * torch.randn(4000, generator=generator, dtype=torch.float64)
    target = soft_bins(values, CENTRES.double())
    prior = target.mean(0)
    weight = rebalanced(prior)
    grey = soft_bins(torch.zeros((), dtype=torch.float64), CENTRES.double()).clamp_min(1e-3).log()
    loss = lambda logits: float(binned_cross_entropy(logits.expand_as(target), target, weight))  # noqa: E731
    assert loss(grey) > loss(prior.clamp_min(1e-9).log()) + 0.1


def test_each_sample_holds_out_half_of_its_channels_and_the_encoder_sees_none_of_them() -> None:
    method, backbone = built(channels=4)
    view = small_views(method, toy_batch(32, channels=4), channels=4)[0]
    held = method.held(view)
    assert held.sum(1).eq(2).all() and len({tuple(row) for row in held.tolist()}) == 6
    changed = view.replace(x=torch.where(held[:, :, None, None], torch.randn_like(view.x), view.x))
    assert torch.equal(method.seen(backbone, view, held).pooled, method.seen(backbone, changed, held).pooled)
    ragged = view.replace(channel_valid=torch.tensor([[True, False, True, False], [True, True, True, False]] * 16))
    some = method.held(ragged)
    assert not (some & ~ragged.channel_valid).any() and some[::2].sum(1).eq(1).all() and some[1::2].sum(1).eq(2).all()
    named, _ = built(channels=3, held=("c1",))
    view = small_views(named, toy_batch(2, channels=3), channels=3)[0]
    assert named.held(view).tolist() == [[False, True, False]] * 2


def test_loss_counts_held_and_valid_blocks_only() -> None:
    """Written again in float64 with loops over blocks and channels."""
    method, backbone = built(channels=2, prior_momentum=0.0)
    method.double(), backbone.double()
    view = small_views(method, toy_batch(3, channels=2), channels=2)[0]
    valid = torch.ones(3, 16, 16, dtype=torch.bool)
    valid[0, 5:], valid[1, :, 8:] = False, False
    view = view.replace(x=view.x.double(), valid=valid)
    method.after_step(Step(0, 10), backbone, [method(backbone, [view]).watch], [])
    method.eval(), backbone.eval()
    held, centres = method.held(view), CENTRES.double()
    weights = rebalanced(method.prior)
    logits = method.logits(method.seen(backbone, view, held), view)
    losses = []
    for b in range(3):
        for block in range(16):
            i, j = divmod(block, 4)
            box = (slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4))
            real = valid[(b, *box)]
            for c in range(2):
                if held[b, c] and real.float().mean() >= 0.5:
                    z = soft_bins(view.x[(b, c, *box)][real].mean(), centres)
                    losses.append(weights[c, z.argmax()] * -(z * logits[b, block, c].log_softmax(-1)).sum())
    assert 0 < len(losses) < 48
    torch.testing.assert_close(method(backbone, [view]).total, torch.stack(losses).mean(), atol=1e-9, rtol=0)


def test_counts_of_bins_follow_the_data() -> None:
    method, backbone = built(channels=2, prior_momentum=0.5)
    first, second = torch.rand(2, 2, 25)
    method.after_step(Step(0, 10), backbone, [{"bins": first}], [])
    torch.testing.assert_close(method.prior, first / first.sum(1, keepdim=True))
    method.after_step(Step(1, 10), backbone, [{"bins": second}, {"bins": second}], [])
    expected = 0.5 * first / first.sum(1, keepdim=True) + 0.5 * second / second.sum(1, keepdim=True)
    torch.testing.assert_close(method.prior, expected)


def test_channels_are_checked_by_name() -> None:
    with pytest.raises(ConfigError, match=r"objective.held=c9: the data has the channels c0, c1, c2"):
        built(held=("c9",))
    with pytest.raises(ConfigError, match="names all channels"):
        built(channels=2, held=("c0", "c1"))


def test_encoders_with_a_token_for_each_channel_are_averaged_over_them() -> None:
    torch.manual_seed(0)
    names = ("c0", "c1", "c2")
    backbone = build("vit-pico", toy_layout(2, 3, ragged=True), names, (16, 16), (4, 4), depth=2, tokenizer="channel")
    method = small("colorization", hidden=16)
    method.build(backbone, {})
    view = small_views(method, toy_batch(4, channels=3), channels=3)[0]
    loss = method(backbone, [view])
    loss.total.backward()
    fewer = view.replace(x=view.x[:, 1:], channels=names[1:])
    assert torch.isfinite(loss.total) and method(backbone, [fewer]).watch["bins"][0].eq(0).all()


# --------------------------------------------------------------------------------------------------- across the bands
def spectra(start: int, count: int = 32) -> Batch:
    """Three bands of a scene of patches: the third is a mixture of the others, with noise."""
    generator = torch.Generator().manual_seed(start)
    scene = torch.randn(count, 2, 4, 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    third = (0.8 * scene[:, :1] - 0.6 * scene[:, 1:]) + 0.05 * torch.randn(count, 1, 16, 16, generator=generator)
    return as_batch(torch.cat([scene, third], 1), 2)


@pytest.mark.slow
def test_a_band_is_predicted_from_those_it_depends_on() -> None:
    def r2(seed: int) -> float:
        torch.manual_seed(seed)
        method, backbone = small("colorization", hidden=32, held=("c2",)), small_backbone(channels=3)
        layout = toy_layout(2, 3)
        done = fit(method, backbone, layout, lambda n: spectra(n + 900 * seed), 250, window=(16, 16), lr=3e-3)
        with torch.no_grad():
            view = done.views[0]
            values, _ = method.values(backbone, view)
            found = method.predict(backbone, view, method.held(view))
        error = (values - found)[..., 2].square().mean()
        return float(1 - error / values[..., 2].var())

    assert min(r2(seed) for seed in range(3)) > 0.9
