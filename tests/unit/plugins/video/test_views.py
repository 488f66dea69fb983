"""Colour changes of clips."""

import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Batch, PartBatch
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context
from ssl_platform_video.domain import Video
from ssl_platform_video.views import LUMA, Colour, Grey, operations

B = 100
DRAWS = Draws.at(0, torch.arange(B))
RGB = ("red", "green", "blue")


def context(x, channels=RGB, strength=1.0):
    return Context(Video.layout, x, None, None, torch.ones(len(x), 3), channels, strength)


def luma(x):
    return sum(w * x[:, at] for at, w in enumerate(LUMA))


def test_colour_keeps_brightness_and_grey():
    x = 255 * torch.rand(B, 3, 4, 6, 5)
    changed, params = Colour().apply(x, context(x), DRAWS)
    torch.testing.assert_close(luma(changed), luma(x), atol=0.2, rtol=0)
    on = (params["hue"] != 0).squeeze(1)
    assert 0.6 < on.float().mean() < 0.95 and torch.allclose(changed[~on], x[~on], atol=1e-2)
    assert params["hue"].abs().max() <= 0.05 * 2 * torch.pi and (changed - x)[on].abs().amax((1, 2, 3, 4)).min() > 0.5
    grey = x[:, :1].expand(-1, 3, -1, -1, -1).contiguous()
    torch.testing.assert_close(Colour().apply(grey, context(grey), DRAWS)[0], grey, atol=0.1, rtol=0)


def test_all_frames_of_a_clip_change_alike():
    frame = 255 * torch.rand(B, 3, 1, 6, 5)
    x = frame.expand(-1, -1, 4, -1, -1).contiguous()
    for operation in operations():
        changed, _ = operation.apply(x, context(x), DRAWS)
        torch.testing.assert_close(changed, changed[:, :, :1].expand_as(changed), atol=1e-3, rtol=0)


def test_some_clips_lose_their_colours():
    x = 255 * torch.rand(B, 3, 2, 4, 4)
    changed, params = Grey().apply(x, context(x), DRAWS)
    on = params["grey"].squeeze(1) > 0
    assert 0.08 < on.float().mean() < 0.35 and changed[~on].equal(x[~on])
    torch.testing.assert_close(changed[on, 0], changed[on, 2])
    assert not Grey().apply(x, context(x, strength=0.0), DRAWS)[1]["grey"].any()


def test_other_channels_are_left_alone():
    x = torch.rand(B, 2, 2, 4, 4)
    for operation in operations():
        assert operation.apply(x, context(x, ("flow-x", "flow-y")), DRAWS)[0] is x


def test_views_are_cropped_alike_in_all_frames_without_a_sync():
    plan = Plan(views=(ViewSpec(count=2), ViewSpec(role="plain", photometric=False)))
    maker = ViewMaker(Video.layout, plan, ViewsConfig(), operations(), window=(4, 16, 16))
    data = torch.randint(0, 255, (4, 3, 1, 16, 16), dtype=torch.uint8).expand(-1, -1, 4, -1, -1).contiguous()
    part = PartBatch(data, None, None, torch.ones(4, 3), torch.zeros(4, 3), RGB)
    index = torch.arange(4)
    with forbid_sync():
        first, _, plain = maker(Batch(({"main": part},), index, index, index))
    assert plain.x.shape == (4, 3, 4, 16, 16) and "colour.hue" in first.params and "colour.hue" not in plain.params
    torch.testing.assert_close(plain.x, plain.x[:, :, :1].expand_as(plain.x), atol=1e-2, rtol=0)
