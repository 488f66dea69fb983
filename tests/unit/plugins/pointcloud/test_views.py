"""Feature dropout and colour jitter: batched, on the device, recorded."""

import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Batch, PartBatch
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context
from ssl_platform_pointcloud.domain import PointCloud
from ssl_platform_pointcloud.views import ColourJitter, FeatureDrop, IntensityGain, operations

B, N = 300, 64
NAMES = ("red", "green", "blue", "nx", "ny", "nz", "intensity")
DRAWS = Draws.at(0, torch.arange(B))
X = torch.rand(B, N, 7, generator=torch.Generator().manual_seed(0))


def context(strength=1.0, x=X, names=NAMES):
    return Context(PointCloud.layout, x, None, None, torch.ones(len(x), 3), names, strength)


def test_features_are_lost_in_groups():
    x, params = FeatureDrop().apply(X, context(), DRAWS)
    absent = params["absent"]
    for group in (slice(0, 3), slice(3, 6), slice(6, 7)):
        own = absent[:, group]
        assert (own == own[:, :1]).all() and 0.12 < own.mean() < 0.28
    assert (x[(absent > 0)[:, None].expand_as(x)] == 0).all()
    assert x[(absent == 0)[:, None].expand_as(x)].equal(X[(absent == 0)[:, None].expand_as(x)])
    assert FeatureDrop().apply(X, context(strength=0.0), DRAWS)[1]["absent"].sum() == 0


def test_colours_change_and_nothing_else():
    x, params = ColourJitter().apply(X, context(), DRAWS)
    assert x[..., 3:].equal(X[..., 3:]) and x[..., :3].min() >= 0 and x[..., :3].max() <= 1
    changed = (params["gain"][:, 0] != 1).float().mean()
    assert 0.7 < changed < 0.9
    still = params["offset"][:, 0] == 0
    assert x[still].equal(X[still]) and (params["gain"][:, 3:] == 1).all()


def test_intensity_is_multiplied():
    x, params = IntensityGain().apply(X, context(), DRAWS)
    assert x[..., :6].equal(X[..., :6])
    torch.testing.assert_close(x[..., 6], X[..., 6] * params["gain"])
    assert params["gain"].max() < 1.36 and 0.4 < (params["gain"] != 1).float().mean() < 0.6


def batch():
    data = torch.cat([torch.randn(8, 300, 3), torch.rand(8, 300, 7)], -1)
    kept = torch.ones(8, 10, dtype=torch.bool)
    kept[2, 3:6] = False
    names = ("x", "y", "z", *NAMES)
    part = PartBatch(data, None, kept, torch.ones(8, 3), torch.zeros(8, 3), names)
    return Batch(({"main": part},), *(torch.arange(8),) * 3)


def test_views_of_a_batch_say_what_is_absent_and_wait_for_nothing():
    maker = ViewMaker(PointCloud.layout, Plan.augmented(2), ViewsConfig(rotate=180.0), operations(), window=(256,))
    given = batch()
    maker(given)
    with forbid_sync():
        first, second = maker(given)
    for view in (first, second):
        lost = view.params["channel-drop.absent"] > 0
        assert (view.channel_valid[:, 3:] == (~lost & given.reads[0]["main"].channel_valid[:, 3:])).all()
        assert view.channel_valid[:, :3].all()
    clean = maker.clean(given)
    assert clean.channel_valid.equal(given.reads[0]["main"].channel_valid)


def test_rotation_keeps_gravity_unless_nothing_points_up():
    from ssl_platform_pointcloud.options import PointCloudOptions

    for up, level in (("z", True), ("none", False)):
        domain = PointCloud(PointCloudOptions(up=up))
        assert domain.defaults(10, 2)["views.rotate"][0] == 180.0
        maker = ViewMaker(domain.layout, Plan.augmented(1), ViewsConfig(rotate=180.0), (), window=(256,))
        (view,) = maker(batch())
        z = torch.nn.functional.normalize(view.geometry.matrix[:, :, 2], dim=1)
        upright = (z[:, 2] - 1).abs() < 1e-5
        assert upright.all() if level else not upright.all()
    assert "rotate:XZ" not in PointCloud.layout.symmetries
