"""The spectrum of token maps on white noise, constants and cosines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssl_platform.measures import log_amplitude


@pytest.mark.parametrize("grid", [(33,), (15, 15), (7, 7, 7)], ids=str)
def test_white_noise_is_flat_but_for_its_real_coefficient(grid: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    found = log_amplitude(torch.randn(64, 64, *grid, generator=generator)).mean(0)
    assert (found[1:] - found[1:].mean()).abs().max() < 0.1
    # E log|z| of a unit complex normal is -gamma / 2, of a real one -(gamma + ln 2) / 2
    assert (found[0] - found[1:].mean()).item() == pytest.approx(-math.log(2) / 2, abs=0.05)


def test_a_constant_map_has_all_energy_in_the_lowest_bin() -> None:
    found = log_amplitude(torch.full((1, 2, 8, 8), 3.0, dtype=torch.float64))[0]
    assert found[0].item() == pytest.approx(math.log(3 * 64))
    assert (found[1:] < -15).all()


@pytest.mark.parametrize("frequency", [1, 3, 4])
def test_a_diagonal_cosine_peaks_at_its_frequency(frequency: int) -> None:
    row = torch.arange(12, dtype=torch.float64)
    wave = torch.cos(2 * math.pi * frequency * (row[:, None] + row) / 12)
    assert log_amplitude(wave[None, None])[0].argmax() == frequency


def test_the_diagonal_of_unequal_sides() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 4, 8, generator=generator, dtype=torch.float64)
    spectrum = np.log(np.abs(np.fft.fft2(maps.numpy())) + 1e-8).mean(1)
    expected = np.stack([spectrum[:, round(k / 2 + 1e-9), k] for k in range(5)], 1)
    assert np.allclose(log_amplitude(maps).numpy(), expected)
