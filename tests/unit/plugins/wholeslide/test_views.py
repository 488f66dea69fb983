"""Stain jitter: the physics in closed form."""

import numpy as np
import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.views.operation import Context
from ssl_platform_wholeslide.domain import WholeSlide
from ssl_platform_wholeslide.views import STAINS, StainJitter

CHANNELS = ("red", "green", "blue")


def context(x, strength=1.0, channels=CHANNELS):
    return Context(WholeSlide.layout, x, None, None, torch.ones(len(x), 2), channels, strength)


def draws(n):
    return Draws.at(0, torch.arange(n))


def stained(amounts):
    """`[n, 3]` amounts of stains as colours 0..255, in the operation's own optical density."""
    stains = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
    return torch.tensor(256 * np.exp(-np.asarray(amounts) @ stains) - 1).float()


def test_amounts_of_stain_are_scaled_and_shifted():
    amounts = np.array([[0.5, 0.2, 0.1], [1.0, 0.4, 0.0], [0.1, 0.8, 0.05]])
    x = stained(amounts).T.view(1, 3, 1, 3).repeat(16, 1, 1, 1)
    changed, params = StainJitter(probability=1.0).apply(x, context(x), draws(16))
    expected = amounts * params["factor"][:, None].numpy() + params["shift"][:, None].numpy()
    for sample, wanted in zip(changed, expected, strict=True):
        assert np.allclose(sample[:, 0].T.numpy(), stained(wanted).numpy(), atol=0.05)
    assert params["factor"].std() > 0.05 and (params["factor"] - 1).abs().max() <= 0.25


def test_samples_it_was_not_drawn_for_and_glass_stay():
    x = torch.rand(64, 3, 4, 4) * 255
    changed, params = StainJitter().apply(x, context(x), draws(64))
    same = (params["factor"] == 1).all(1)
    assert 3 < same.sum() < 30 and torch.equal(changed[same], x[same])
    assert not torch.isclose(changed[~same], x[~same]).all(dim=(1, 2, 3)).any()
    glass = torch.full((8, 3, 2, 2), 255.0)
    changed, _ = StainJitter(probability=1.0, shift=0.0).apply(glass, context(glass), draws(8))
    assert torch.allclose(changed, glass)


def test_strength_bounds_it_and_other_channels_are_left_alone():
    x = torch.rand(32, 3, 4, 4) * 255
    gentle, _ = StainJitter(probability=1.0).apply(x, context(x, 0.1), draws(32))
    harsh, _ = StainJitter(probability=1.0).apply(x, context(x, 2.0), draws(32))
    assert (gentle - x).abs().mean() < (harsh - x).abs().mean() / 5
    assert harsh.isfinite().all() and harsh.min() >= 0 and harsh.max() <= 255
    other, params = StainJitter().apply(x, context(x, channels=("dapi", "gfp", "cy5")), draws(32))
    assert other is x and params == {}


def test_a_sample_does_not_depend_on_its_batch():
    x = torch.rand(8, 3, 6, 6) * 255
    whole, _ = StainJitter().apply(x, context(x), draws(8))
    part, _ = StainJitter().apply(x[:3], context(x[:3]), draws(3))
    assert torch.allclose(whole[:3], part, atol=1e-3)


@pytest.mark.parametrize("rotate", [0.0, 180.0])
def test_rotate_then_crop_leaves_no_pixel_from_beyond_the_window(rotate):
    """Card 004: a white image stays white whatever the angle, and the whole circle is used."""
    from ssl_platform.config.schema import ViewsConfig
    from ssl_platform.plan import Plan
    from ssl_platform.types import Batch, PartBatch
    from ssl_platform.views.maker import ViewMaker

    maker = ViewMaker(
        WholeSlide.layout,
        Plan.multi_crop(2),
        ViewsConfig(rotate=rotate, global_size=32, local_size=16, strength=0.0),
        seed=1,
        window=(32, 32),
    )
    size = maker.read_size
    assert size == ((46, 46) if rotate else (32, 32))
    n = 64
    part = PartBatch(
        torch.ones(n, 3, *size, dtype=torch.uint8), None, None, torch.ones(n, 2), torch.zeros(n, 2), CHANNELS
    )
    zero = torch.zeros(n, dtype=torch.int64)
    for view in maker(Batch(({"main": part},), torch.arange(n), zero, torch.arange(n))):
        assert torch.allclose(view.x, torch.ones(()), atol=1e-5) and (view.valid is None or view.valid.all())
        if rotate:
            angle = view.params["crop.angle"][:, 0]
            assert angle.min() < -2.5 and angle.max() > 2.5


def test_nothing_is_read_back_by_the_host():
    x = torch.rand(4, 3, 8, 8) * 255
    StainJitter().apply(x, context(x), draws(4))  # constants are cached
    with forbid_sync():
        StainJitter().apply(x, context(x), draws(4))
