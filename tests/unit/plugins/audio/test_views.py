"""The physics of recordings: what each operation does to powers, and what it leaves alone."""

import numpy as np
import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Batch, PartBatch
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context
from ssl_platform_audio.domain import Audio
from ssl_platform_audio.logmel import LOWEST
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.spectrum import Spectrum
from ssl_platform_audio.views import DECIBEL, Background, Equaliser, Gain, Mix, SpecAugment, operations

B, F, T = 200, 32, 40
DRAWS = Draws.at(0, torch.arange(B))
SPECTRUM = Spectrum.of(AudioOptions(), 16_000)


def context(x, valid=None, strength=1.0):
    return Context(Audio.layout, x, valid, None, torch.tensor([[1.0, 0.01]]).expand(len(x), -1), ("log-mel",), strength)


def changed(operation, x, **facts):
    y, params = operation.apply(x.clone(), context(x, **facts), DRAWS)
    assert all(value.shape[0] == len(x) and value.ndim == 2 for value in params.values())
    return y, params, (y != x).flatten(1).any(1)


def test_a_gain_adds_decibels_and_silence_stays():
    y, params, on = changed(Gain(), torch.zeros(B, 1, F, T))
    torch.testing.assert_close(y[:, 0, 0, 0], params["decibel"][:, 0] * DECIBEL)
    assert params["decibel"].abs().max() <= 6 and 0.7 < on.float().mean() < 0.9
    silent, _, _ = changed(Gain(), torch.full((B, 1, F, T), LOWEST))
    assert silent.min() >= LOWEST


def test_the_equaliser_is_smooth_over_bins_and_constant_in_time():
    y, _, on = changed(Equaliser(), torch.zeros(B, 1, F, T))
    assert y.std(-1).max() < 1e-5 and 0.35 < on.float().mean() < 0.65
    response = y[on][:, 0, :, 0]
    assert response.mean(1).abs().max() < 1e-4 and response.abs().max() <= 8 * DECIBEL + 1e-4
    assert response.diff(dim=1).abs().max() < 0.25 * response.abs().max()


def test_mixing_adds_powers_of_the_moved_view():
    x = torch.randn(B, 1, F, T)
    y, params, on = changed(Mix(), x)
    assert 0.35 < on.float().mean() < 0.65
    share, shift = params["share"], params["shift"]
    for i in on.nonzero().flatten()[:5].tolist():
        moved = torch.roll(x[i], -int(shift[i] * T), -1)
        expected = ((1 - share[i]) * x[i].exp() + share[i] * moved.exp()).log()
        torch.testing.assert_close(y[i], expected, atol=1e-4, rtol=1e-4)
    assert share[on].max() <= 0.3 and share[~on].eq(0).all()


def test_noise_has_its_level_below_the_sound():
    x = torch.full((B, 1, F, T), -3.0)
    y, params, on = changed(Background(), x)
    assert 0.35 < on.float().mean() < 0.65 and torch.isinf(params["decibel"][~on]).all()
    quiet = on & (params["tilt"][:, 0].abs() < 3)
    added = 10 * torch.log10((y.exp() - x.exp()).clamp(min=1e-9).flatten(1).mean(1) / x.exp().flatten(1).mean(1))
    torch.testing.assert_close(-added[quiet], params["decibel"][quiet, 0], atol=1.0, rtol=0)
    assert (y >= x - 1e-5).all()


def test_specaugment_blanks_bands_and_stretches_with_the_mean():
    x = torch.randn(B, 1, F, T) + 5
    y, params, on = changed(SpecAugment(), x)
    assert 0.35 < on.float().mean() < 0.55
    mean = x.mean((1, 2, 3))
    for i in on.nonzero().flatten()[:10].tolist():
        blank = y[i, 0] != x[i, 0]
        torch.testing.assert_close(y[i, 0][blank], mean[i].expand(int(blank.sum())), atol=1e-5, rtol=0)
        bands, stretches = blank.all(1), blank.all(0)
        assert torch.equal(blank, bands[:, None] | stretches[None])
        assert bands.float().mean() <= 0.375 + 1 / F and stretches.float().mean() <= 0.1875 + 1 / T
    assert params["bands"].shape == (B, 2)


@pytest.mark.parametrize("operation", [Gain(), Equaliser(), Mix(), Background(), SpecAugment()])
def test_what_is_invalid_decides_nothing_and_strength_scales(operation):
    valid = torch.ones(B, F, T, dtype=torch.bool)
    valid[:, :, 30:] = False
    x = torch.randn(B, 1, F, T)
    other = torch.where(valid[:, None], x, torch.full((), 50.0))
    first, _, _ = changed(operation, x, valid=valid)
    second, _, _ = changed(operation, other, valid=valid)
    torch.testing.assert_close(first[..., :30], second[..., :30], atol=1e-5, rtol=0)
    weak, _, _ = changed(operation, x, strength=0.2)
    strong, _, _ = changed(operation, x, strength=1.0)
    assert (weak - x).abs().mean() < (strong - x).abs().mean()


def batch_of(rows=4, frames=64):
    samples = SPECTRUM.samples(frames)
    wave = np.random.default_rng(0).standard_normal((rows, 1, samples)) * 3000
    valid = torch.ones(rows, samples, dtype=torch.bool)
    valid[1, samples // 2 :] = False
    spacing = torch.tensor([SPECTRUM.spacing]).expand(rows, -1)
    part = PartBatch(torch.from_numpy(wave).to(torch.int16), valid, None, spacing, torch.zeros(rows, 2), ("log-mel",))
    index = torch.arange(rows)
    return Batch(({"main": part},), index, index, index)


def test_views_are_made_of_waveforms_without_waiting():
    plan = Plan(views=(ViewSpec(count=2), ViewSpec(role="local", count=1), ViewSpec(role="plain", photometric=False)))
    maker = ViewMaker(Audio.layout, plan, ViewsConfig(), operations(), window=(128, 64), size_multiple=(16, 16))
    batch = batch_of()
    with forbid_sync():
        first, second, local, plain = maker(batch)
        clean = maker.clean(batch)
    assert first.x.shape == second.x.shape == plain.x.shape == clean.x.shape == (4, 1, 128, 64)
    assert local.x.shape == (4, 1, 64, 32)
    assert {"gain.decibel", "noise.tilt", "specaugment.bands", "mix.share", "equaliser.decibel"} <= set(first.params)
    # One cell is a bin and a hundredth of a second, wherever a view lies.
    torch.testing.assert_close(clean.spacing[0], torch.tensor([1.0, 0.01]))
    assert clean.valid[0].all() and clean.valid[1, :, :31].all() and not clean.valid[1, :, 32:].any()
    assert not first.valid[1].all() and torch.isfinite(first.x).all()


def test_a_waveform_is_turned_into_a_spectrogram_whatever_is_left_out():
    config = ViewsConfig(off=["log-mel", "gain", "noise", "mix", "equaliser", "specaugment", "scale"])
    maker = ViewMaker(Audio.layout, Plan.augmented(1), config, operations(), window=(128, 64))
    (view,) = maker(batch_of())
    torch.testing.assert_close(view.x, maker.clean(batch_of()).x)
