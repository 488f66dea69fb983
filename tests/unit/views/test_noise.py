"""Normal noise from hashes."""

import torch

from ssl_platform.draws import Draws
from ssl_platform.views.noise import normal_field


def test_it_is_standard_normal_and_white():
    field = normal_field(Draws.at(0, torch.arange(4)), "a", 100_000)
    flat = field.flatten()
    assert abs(flat.mean()) < 0.006 and abs(flat.std() - 1) < 0.006
    assert abs((flat**3).mean()) < 0.02 and abs((flat**4).mean() - 3) < 0.06
    for lag in (1, 2, 3, 4, 25_000, 50_000, 75_000):  # the four numbers of a hash lie a quarter apart
        assert abs((field[:, lag:] * field[:, :-lag]).mean()) < 0.008, lag
    assert abs((field[0] * field[1]).mean()) < 0.013
    quantiles = torch.quantile(flat[:100_000], torch.tensor([0.023, 0.159, 0.5, 0.841, 0.977]))
    torch.testing.assert_close(quantiles, torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]), atol=0.04, rtol=0)


def test_it_belongs_to_the_sample():
    whole = normal_field(Draws.at(0, torch.arange(4)), "a", 37)
    assert whole.shape == (4, 37)
    assert whole[2:].equal(normal_field(Draws.at(0, torch.arange(2, 4)), "a", 37))
    assert not whole.equal(normal_field(Draws.at(1, torch.arange(4)), "a", 37))
