"""Sizes of views and of the window that holds them."""

import math

import pytest

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Layout
from ssl_platform.views.sizes import base_window, read_size, view_size

VOLUME = Layout("C D H W", symmetries=frozenset({"scale", "rotate:HW", "flip:W"}))
FIXED = Layout("C D H W", symmetries=frozenset({"rotate:HW"}))
VIDEO = Layout("C T H W", symmetries=frozenset({"scale:HW"}))
CLOUD = Layout("N C", symmetries=frozenset({"rotate:XY"}))
LOCAL = ViewSpec(role="local")


def test_automatic_sizes_are_multiples_of_the_patch():
    config = ViewsConfig()
    assert view_size(ViewSpec(), config, VOLUME, (48, 48, 48), 8) == (48, 48, 48)
    assert view_size(ViewSpec(), config, VOLUME, (50, 48, 48), 8) == (48, 48, 48)
    assert view_size(LOCAL, config, VOLUME, (48, 48, 48), 8) == (24, 24, 24)
    assert view_size(LOCAL, config, VOLUME, (40, 40, 40), 16) == (16, 16, 16)
    assert view_size(LOCAL, config, VIDEO, (8, 96, 96), (2, 16, 16)) == (4, 48, 48)
    assert view_size(ViewSpec(), config, VIDEO, (1, 96, 96), (2, 16, 16)) == (1, 96, 96)


def test_several_views_at_the_resolution_of_the_data_have_room_to_differ_in_place():
    still = ViewsConfig(zoom=False)
    assert view_size(ViewSpec(count=2), still, VOLUME, (48, 48, 48), 8) == (40, 40, 40)
    assert view_size(ViewSpec(), still, VOLUME, (48, 48, 48), 8) == (48, 48, 48)
    assert view_size(LOCAL, still, VOLUME, (48, 48, 48), 8) == (24, 24, 24)
    assert view_size(ViewSpec(count=2), still, VIDEO, (8, 96, 96), (2, 16, 16)) == (8, 80, 80)


def test_one_number_names_the_longest_axes():
    assert view_size(ViewSpec(), ViewsConfig(global_size=64), VIDEO, (16, 96, 96)) == (16, 64, 64)
    assert view_size(ViewSpec(), ViewsConfig(global_size=64), VOLUME, (48, 48, 48)) == (64, 64, 64)
    assert view_size(ViewSpec(size=30), ViewsConfig(), VOLUME, (48, 48, 48), 8) == (32, 32, 32)
    assert view_size(ViewSpec(), ViewsConfig(global_size=1024), CLOUD, (4096,), 8) == (1024,)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ViewsConfig(global_size=50), r"views\.global_size=50 .* use 48"),
        (ViewsConfig(global_size=[48, 48]), "names 2 axes, the window has 3"),
    ],
)
def test_sizes_that_cannot_be_used_name_the_key(config, words):
    with pytest.raises(ConfigError, match=words):
        view_size(ViewSpec(), config, VOLUME, (48, 48, 48), 8)


def test_the_window_holds_every_view():
    plan = Plan.augmented(2)
    assert read_size(plan, ViewsConfig(), VOLUME, (48, 48, 48)) == (48, 48, 48)
    assert read_size(plan, ViewsConfig(global_size=64), VOLUME, (48, 48, 48)) == (64, 64, 64)
    assert read_size(plan, ViewsConfig(rotate=30), CLOUD, (4096,)) == (4096,)
    clean = Plan(views=(ViewSpec(clean=True),))
    assert read_size(clean, ViewsConfig(rotate=30), VOLUME, (48, 48, 48)) == (48, 48, 48)


@pytest.mark.parametrize("degrees", [10.0, 45.0, 180.0])
@pytest.mark.parametrize("layout", [VOLUME, FIXED])
def test_the_rotation_margin_is_what_a_turned_box_needs(degrees, layout):
    plan = Plan(views=(ViewSpec(scale=(0.5, 1.0)),))
    angle = min(math.radians(degrees), math.pi / 4)
    side = math.ceil(48 * (math.cos(angle) + math.sin(angle)))
    assert read_size(plan, ViewsConfig(rotate=degrees), layout, (48, 48, 48)) == (48, side, side)
    assert read_size(plan, ViewsConfig(rotate=degrees, off=["rotate"]), layout, (48, 48, 48)) == (48, 48, 48)


def test_small_crops_need_less_margin():
    plan = Plan(views=(ViewSpec(scale=(0.1, 0.125)),))  # half the side: even turned it fits
    assert read_size(plan, ViewsConfig(rotate=45), VOLUME, (48, 48, 48)) == (48, 48, 48)
    assert base_window(plan, ViewsConfig(rotate=45), VOLUME, (48, 48, 48)) == (48, 48, 48)
