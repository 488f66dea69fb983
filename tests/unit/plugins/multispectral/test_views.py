"""Light, haze, clouds and speckle: what physics says they do, and to which bands."""

import numpy as np
import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.views.operation import Context
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.views import Clouds, Speckle, SpectralJitter, operations

OPTICAL = ("S2-B02", "S2-B04", "S2-B08", "S2-B12")


def context(x, channels=OPTICAL, strength=1.0):
    return Context(Multispectral.layout, x, None, None, torch.ones(len(x), 2), tuple(channels), strength)


def draws(count, seed=0):
    return Draws.at(seed, torch.arange(count))


def scene(count=64, channels=4, edge=24):
    return torch.rand(count, channels, edge, edge, generator=torch.Generator().manual_seed(0)) * 0.3 + 0.05


def test_gains_change_smoothly_and_haze_is_blue():
    x = scene()
    constant = torch.full_like(x, 0.2)
    out, params = SpectralJitter(probability=1.0).apply(constant, context(constant), draws(64))
    gain = (out / constant).mean((2, 3))  # no spread, so no haze
    assert out.std((2, 3)).max() < 1e-5 and gain.std(0).min() > 0.05
    # The logarithm of the gain is a line over the logarithm of the wavelength.
    w = np.log(np.array([492.7, 664.6, 832.8, 2202.4]))
    for row in gain.log().numpy()[:8]:
        slope, level = np.polyfit(w, row, 1)
        assert np.allclose(slope * w + level, row, atol=1e-5)
    haze = SpectralJitter(probability=1.0, level=0.0, tilt=0.0).apply(x, context(x), draws(64))[0] - x
    haze = haze.mean((2, 3)) / context(x).std
    assert (haze >= 0).all()
    ratio = (haze[:, 0] / haze[:, 1])[haze[:, 1] > 1e-3]
    assert ratio.numpy() == pytest.approx((664.6 / 492.7) ** 4, rel=1e-3)
    assert params["curve"].shape == (64, 3)


def test_heat_and_radar_are_left_alone():
    x = scene(8, 3)
    names = ("OLI-B10", "S1-VV", "OLI-B4")
    for operation in (SpectralJitter(probability=1.0), Clouds(probability=1.0)):
        out = operation.apply(x, context(x, names), draws(8))[0]
        assert torch.equal(out[:, :2], x[:, :2]) and not torch.equal(out[:, 2], x[:, 2])
        assert operation.apply(x, context(x, ("S1-VV", "S1-VH", "S1-HH")), draws(8))[0] is x


def test_clouds_cover_as_much_as_was_drawn_and_are_bright():
    x = torch.full((400, 4, 48, 48), 0.1)
    out, params = Clouds(probability=1.0).apply(x, context(x), draws(400))
    clouded = (out[:, 0] > 0.1001).float().mean((1, 2))
    aimed = params["cover"][:, 0]
    assert abs(float(clouded.mean() - aimed.mean())) < 0.05 and np.corrcoef(clouded, aimed)[0, 1] > 0.3
    assert float(out[:, :3].max()) == pytest.approx(0.7, abs=1e-3) and float(out[:, 3].max()) == pytest.approx(
        0.35, abs=0.01
    )
    assert float(out.min()) >= 0.1 - 1e-6


def test_clouds_are_in_one_piece_rather_than_noise():
    x = torch.full((64, 1, 48, 48), 0.1)
    out = Clouds(probability=1.0).apply(x, context(x, ("S2-B04",)), draws(64))[0][:, 0] > 0.15
    inside = out[:, :, 1:] == out[:, :, :-1]
    assert inside.float().mean() > 0.95


def test_speckle_is_of_radar_only():
    x = torch.full((256, 2, 16, 16), -12.0)
    out, params = Speckle(probability=1.0).apply(x, context(x, ("S1-VV", "S2-B04")), draws(256))
    assert torch.equal(out[:, 1], x[:, 1])
    seen = (out[:, 0] + 12.0).std((1, 2))
    assert torch.allclose(seen, params["std"][:, 0], rtol=0.25, atol=0.02)
    assert Speckle().apply(x, context(x, ("S2-B02", "S2-B04")), draws(256))[0] is x


@pytest.mark.parametrize("operation", operations(), ids=lambda o: o.name)
def test_draws_belong_to_samples_and_strength_zero_changes_nothing(operation):
    x = scene(6, 2) - 0.1
    names = ("S2-B04", "S1-VV")
    whole = operation.apply(x, context(x, names), draws(6))[0]
    part = operation.apply(x[2:4], context(x[2:4], names), draws(6).select(slice(2, 4)))[0]
    assert torch.allclose(whole[2:4], part, atol=1e-6)
    assert torch.allclose(operation.apply(x, context(x, names, 0.0), draws(6))[0], x, atol=1e-6)


def test_nothing_is_read_back_from_the_device():
    x = scene(4, 3)
    made = context(x, ("S2-B04", "S2-B08", "S1-VV"))
    for operation in operations():
        operation.apply(x, made, draws(4))  # tables are made once
        with forbid_sync():
            operation.apply(x, made, draws(4))
