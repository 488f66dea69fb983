import math

import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.nn.positions import SinCos, places, sincos, temperature_for


def centres(n):
    return ((torch.arange(n, dtype=torch.float64) + 0.5) / n)[None, :, None]


def test_at_the_reference_grid_it_is_the_integer_table():
    table = SinCos(1, 8, 6, temperature=10_000)(centres(6))[0]
    omega = 10000.0 ** (-torch.arange(4, dtype=torch.float64) / 4)
    angle = torch.arange(6, dtype=torch.float64)[:, None] * omega
    torch.testing.assert_close(table, torch.cat([angle.sin(), angle.cos()], dim=-1))


def test_another_grid_reads_the_same_function_between():
    encode = SinCos(1, 16, 8)
    fine, coarse = encode(centres(24)), encode(centres(8))
    # The centre of every third fine token is that of a coarse one.
    torch.testing.assert_close(fine[:, 1::3], coarse)


@pytest.mark.parametrize(("rank", "dim"), [(1, 10), (2, 12), (3, 32), (3, 128)])
def test_each_axis_has_an_even_share_and_the_rest_is_zero(rank, dim):
    position = torch.rand(5, rank) * 9
    table = sincos(position, dim)
    used = dim // (2 * rank) * 2 * rank
    assert table.shape == (5, dim) and (table[:, used:] == 0).all()
    moved = position.clone()
    moved[:, 0] += 1
    changed = (sincos(moved, dim) != table).any(0)
    assert changed[: used // rank].any() and not changed[used // rank :].any()


def test_physical_positions_grow_with_the_view():
    encode = SinCos(2, 16, 8, pitch=2.0)
    coords = torch.rand(1, 3, 2)
    large, small = torch.tensor([[32.0, 32.0]]), torch.tensor([[16.0, 16.0]])
    shifted = (coords * 16) / 32  # the same physical distance from the corner
    torch.testing.assert_close(encode(coords, small), encode(shifted, large))
    with pytest.raises(ValueError, match="extent"):
        encode(coords)


def test_shared_coordinates_are_computed_once():
    coords = torch.rand(1, 5, 2).expand(4, -1, -1)
    assert SinCos(2, 8)(coords).shape[0] == 1
    assert SinCos(2, 8)(coords.contiguous()).shape[0] == 4


def test_half_precision_coordinates_are_widened():
    assert SinCos(1, 8)(torch.rand(1, 3, 1).bfloat16()).dtype == torch.float32
    assert SinCos(1, 8)(torch.rand(1, 3, 1).double()).dtype == torch.float64


@pytest.mark.parametrize("bad", [0.0, (4.0, 4.0, 4.0), -1.0, math.nan])
def test_reference_must_fit(bad):
    with pytest.raises(ConfigError, match="reference"):
        SinCos(2, 16, bad)


def test_too_narrow():
    with pytest.raises(ConfigError, match="too narrow"):
        SinCos(3, 4)


def test_the_longest_wavelength_is_eight_views_on_any_grid():
    """Sampled over eight views, the slowest sine of each axis goes through one period: it comes back to its start."""
    for steps in (6, 14, (4, 32)):
        rank = len(steps) if isinstance(steps, tuple) else 1
        slowest = temperature_for(steps, rank)
        for axis, temperature in enumerate(slowest):
            n = steps[axis] if isinstance(steps, tuple) else steps
            assert 2 * math.pi * temperature == pytest.approx(8 * n)


def test_on_a_small_grid_every_feature_tells_tokens_apart():
    """At the published temperature most of them are constant over six tokens, which is why it is not the default."""
    fitted, published = SinCos(1, 64, 6)(centres(6))[0], SinCos(1, 64, 6, temperature=10_000)(centres(6))[0]
    told = [int((table.std(0) > 0.05).sum()) for table in (fitted, published)]
    assert told[0] == 64 and told[1] < 40


def test_decoders_share_the_encoder_places():
    coords = torch.rand(3, 5, 2)
    torch.testing.assert_close(places(coords, 16, (4, 8)), SinCos(2, 16, (4, 8))(coords))
