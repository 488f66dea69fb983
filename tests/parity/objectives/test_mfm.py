"""Card 036, against spectra written as sums of exponentials."""

from __future__ import annotations

import cmath
import itertools
import math

import pytest
import torch
from torch import Tensor

from ssl_platform import losses
from ssl_platform.draws import Draws
from ssl_platform.masking.frequency import clamp_to, filled, keep_frequencies, low_frequencies
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.mfm import MFM
from ssl_platform.testing.objectives import small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import View

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(15,), (16, 9), (8, 5, 6)])
def test_low_and_high_parts_are_real_and_sum_to_the_view(size: tuple[int, ...]) -> None:
    x = noise(2, 3, *size)
    low = low_frequencies(size, 60.0, CPU)
    mirrored = low
    for axis in range(len(size)):
        mirrored = mirrored.flip(axis).roll(1, axis)  # frequency k to -k
    assert torch.equal(low, mirrored) and low.any() and not low.all()
    axes = tuple(range(2, x.ndim))
    assert float(torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * low, dim=axes).imag.abs().max()) < 1e-12
    both = [keep_frequencies(x, kept.expand(2, *size)) for kept in (low, ~low)]
    torch.testing.assert_close(both[0] + both[1], x, atol=1e-12, rtol=0)


def test_the_radius_is_the_published_circle_and_one_wavelength_at_other_sizes() -> None:
    low = torch.fft.fftshift(low_frequencies((224, 224), 16.0, CPU))
    rows, columns = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    assert torch.equal(low, (rows - 112) ** 2 + (columns - 112) ** 2 < 16**2)
    assert int(low_frequencies((112,), 16.0, CPU).sum()) == 15  # -7 to 7: wavelengths above 14 cells
    assert int(low_frequencies((224,), 16.0, CPU).sum()) == 31


def test_the_loss_is_the_definition() -> None:
    """Written as sums of exponentials, coefficient by coefficient."""
    x, y, size = noise(2, 2, 4, 3), noise(2, 2, 4, 3, seed=1), (4, 3)
    removed = torch.stack([low_frequencies(size, 60.0, CPU), ~low_frequencies(size, 60.0, CPU)])
    for gamma in (1.0, 2.0):
        total, count = 0.0, 0
        for b, u, v in itertools.product(range(2), range(4), range(3)):
            if not removed[b, u, v]:
                continue
            for c in range(2):
                coefficient = sum(
                    float(x[b, c, m, n] - y[b, c, m, n]) * cmath.exp(-2j * math.pi * (u * m / 4 + v * n / 3))
                    for m, n in itertools.product(range(4), range(3))
                ) / math.sqrt(12)
                total, count = total + abs(coefficient) ** gamma, count + 1
        assert float(losses.spectrum_error(x, y, removed, gamma=gamma)) == pytest.approx(total / count)


def test_limits_of_the_loss() -> None:
    x = noise(2, 3, 16, 16)
    low = low_frequencies((16, 16), 40.0, CPU).expand(2, -1, -1)
    assert losses.spectrum_error(x, x, ~low) == 0
    inside = keep_frequencies(noise(2, 3, 16, 16, seed=1), low)
    assert float(losses.spectrum_error(x + inside, x, ~low)) < 1e-12
    assert float(losses.spectrum_error(x + inside, x, low)) > 0.1
    x.requires_grad_()
    losses.spectrum_error(x, x.detach(), ~low).backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]
    sizes = [losses.spectrum_error(noise(8, 4, n, n, seed=n), torch.zeros(8, 4, n, n)) for n in (8, 16, 64)]
    for found in sizes:
        assert float(found) == pytest.approx(math.sqrt(math.pi / 4), rel=0.05)  # a unit complex normal's modulus


def test_invalid_cells_and_absent_channels_take_no_part() -> None:
    x = noise(2, 2, 8, 8)
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[..., 5:] = False
    whole = filled(torch.where(valid[:, None], x, torch.nan), valid, torch.tensor([[True, True], [True, False]]))
    torch.testing.assert_close(whole[0, 0, :, 5:], x[0, 0, :, :5].mean().expand(8, 3))
    assert not whole[1, 1].any()
    assert clamp_to(5 * x, x).abs().amax() <= x.abs().amax()
    counted = losses.spectrum_error(x, torch.zeros_like(x), None, torch.tensor([[True, False], [False, False]]))
    torch.testing.assert_close(counted, losses.spectrum_error(x[:1, :1], torch.zeros(1, 1, 8, 8)))


@pytest.mark.parametrize("name", ["convnet-tiny", pytest.param("timm:resnet18", marks=pytest.mark.slow)])
def test_convolutional_nets_learn_as_they_are(name: str) -> None:
    torch.manual_seed(0)
    size = 32
    backbone = build(name, toy_layout(2), ("c0",), (size, size), (8, 8))
    method = MFM()
    method.build(backbone, {})
    view = small_views(method, toy_batch(4, size=size))[0]
    view = view.replace(x=toy_batch(4, size=size).reads[0]["main"].data, valid=None)
    loss = total_of(method(backbone, [view]))
    assert method.decoder(backbone, backbone(view), view).shape == (4, 1, size, size)
    loss.total.backward()
    assert all(p.grad is not None for p in method.parameters())
    kept = method.kept(View(torch.zeros(256, 1, 8, 8), draws=Draws.at(0, torch.arange(256))))
    share = float(kept[:, 0, 0].float().mean())
    assert 0.35 < share < 0.65
