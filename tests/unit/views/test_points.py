"""Views of point sets: the same geometry contract as grids."""

import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Batch, Channel, Layout, PartBatch
from ssl_platform.views.clouds import coordinates
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Operation

B, N = 6, 300
CHANNELS = tuple(Channel(n) for n in ("x", "y", "z", "heat"))
GEOMETRIC = frozenset({"flip:X", "rotate:XY", "scale"})
LAYOUT = Layout("N C", CHANNELS, "m", symmetries=GEOMETRIC)


def batch(start=0, rows=B, junk=0.0, points=N):
    generator = torch.Generator().manual_seed(7)
    every = torch.randn(B, points, 4, generator=generator) * torch.tensor([4.0, 2.0, 1.0, 1.0]) + 10
    every[..., 3] = torch.arange(points)  # names the point
    valid = torch.rand(B, points, generator=generator) < 0.9
    every = torch.where(valid[..., None], every, torch.full_like(every, junk))
    part = PartBatch(
        every[start : start + rows],
        valid[start : start + rows],
        None,
        torch.ones(rows, 3),
        torch.zeros(rows, 3),
        tuple(c.name for c in CHANNELS),
    )
    index = torch.arange(start, start + rows)
    return Batch(({"main": part},), index, index, index)


PAIR = (ViewSpec(count=2),)


def distances(points):
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def maker(layout=LAYOUT, views=PAIR, **config):
    return ViewMaker(layout, Plan(views=views), ViewsConfig(**{"rotate": 180.0, **config}), window=(N,))


@pytest.mark.parametrize("inner", [{}, {"inside": "global"}, {"overlap": 0.5}, {"like": "global"}])
def test_geometry_leads_back_to_the_points(inner):
    given = batch()
    views = (ViewSpec(count=1), ViewSpec(role="other", count=2, size=100, **inner))
    made = maker(views=views)(given)
    for view in made:
        u = coordinates(view.x, view.spacing)
        source = view.geometry.to_source(u)
        truth = given.reads[0]["main"].data.gather(1, view.x[..., 3:].long().expand(-1, -1, 4))[..., :3]
        torch.testing.assert_close(source[view.valid], truth[view.valid], atol=1e-3, rtol=0)
        assert u[view.valid].min() >= 0 and u[view.valid].max() <= 1
        assert view.valid.any(1).all() and (view.x[~view.valid] == 0).all()
    if "inside" in inner:
        assert made[1].geometry.overlap(made[0].geometry).min() > 0.999
    if "overlap" in inner:
        assert made[2].geometry.overlap(made[1].geometry).min() >= 0.5 - 1e-3


def test_turning_keeps_distances():
    still = Layout("N C", CHANNELS, "m", symmetries=frozenset({"rotate:XY", "flip:X"}))
    view = maker(still)(batch())[0]
    moved, index = view.x[..., :3], view.x[..., 3].long()
    truth = batch().reads[0]["main"].data[..., :3].gather(1, index[..., None].expand(-1, -1, 3))
    assert view.valid.sum(1).equal(batch().reads[0]["main"].valid.sum(1))  # without scale nothing is cut off
    for b in range(B):
        keep = view.valid[b]
        torch.testing.assert_close(
            distances(moved[b, keep]),
            distances(truth[b, keep]),
            atol=2e-3,
            rtol=1e-3,
        )
        torch.testing.assert_close((moved[b, keep, 2] - truth[b, keep, 2]).std(), torch.zeros(()), atol=1e-4, rtol=0)
    assert view.params["crop.angle"].unique().numel() == B


def test_invalid_points_change_nothing_and_the_partition_neither():
    layout = Layout("N C", CHANNELS, "m", symmetries=GEOMETRIC | {"noise", "cutout", "gain", "offset"})
    make = maker(layout, views=(ViewSpec(count=2), ViewSpec(role="local", inside="global")))
    whole, junk = make(batch()), make(batch(junk=1e5))
    halves = [make(batch(0, 2)), make(batch(2, 4))]
    for k, view in enumerate(whole):
        assert view.x.equal(junk[k].x) and view.valid.equal(junk[k].valid)
        assert view.x.equal(torch.cat([h[k].x for h in halves]))
        assert view.geometry.matrix.equal(torch.cat([h[k].geometry.matrix for h in halves]))


def test_counts_jitter_dropout_and_clean_views():
    noisy = Layout("N C", CHANNELS, "m", symmetries=frozenset({"noise", "cutout"}))
    with forbid_sync():
        views = maker(noisy, views=(ViewSpec(count=2, size=64),))(batch())
        more = maker(noisy, views=(ViewSpec(size=512),))(batch())[0]
        clean = maker(noisy).clean(batch(), size=(64,))
    assert views[0].x.shape == (B, 64, 4) and more.x.shape == (B, 512, 4)
    assert (more.valid.sum(1) < 0.9 * N).any() and more.params["points.dropout"].shape == (B, 1)
    truth = batch().reads[0]["main"].data.gather(1, views[0].x[..., 3:].long().expand(-1, -1, 4))[..., :3]
    moved = (views[0].geometry.to_source(coordinates(views[0].x, views[0].spacing)) - truth)[views[0].valid]
    assert 0.05 < moved.std() < 0.5
    again = batch()
    again.position = again.position + 1000
    assert clean.x.equal(maker(noisy).clean(again, size=(64,)).x)
    everything = maker(noisy).clean(batch(), size=(N,))
    assert everything.valid.equal(batch().reads[0]["main"].valid)
    assert everything.x[..., 3][everything.valid].equal(batch().reads[0]["main"].data[..., 3][everything.valid])


def test_directions_turn_with_the_view():
    layout = Layout(
        "N C", (*CHANNELS[:3], *(Channel(n, "direction") for n in ("nx", "ny", "nz"))), "m", symmetries=GEOMETRIC
    )
    generator = torch.Generator().manual_seed(3)
    centre = torch.randn(B, 1, 3, generator=generator)
    outward = torch.nn.functional.normalize(torch.randn(B, N, 3, generator=generator), dim=-1)
    part = PartBatch(
        torch.cat([centre + 2 * outward, outward], -1),
        None,
        None,
        torch.ones(B, 3),
        torch.zeros(B, 3),
        tuple(c.name for c in layout.channels),
    )
    index = torch.arange(B)
    for view in maker(layout, off=["noise"])(Batch(({"main": part},), index, index, index)):
        source = view.geometry.to_source(coordinates(view.x, view.spacing))
        there = torch.nn.functional.normalize(source - centre, dim=-1)
        axes = torch.nn.functional.normalize(view.geometry.matrix, dim=1)
        back = (view.x[..., None, 3:] * axes[:, None]).sum(-1)
        torch.testing.assert_close(back[view.valid], there[view.valid], atol=1e-4, rtol=0)
        assert (view.x[..., 3:] - there).abs()[view.valid].max() > 0.5, "the view was turned"


def test_an_operation_may_take_features_away():
    class Drop(Operation):
        name = "drop"

        def apply(self, x, context, draws):
            return x, {"absent": draws.chance("absent", 0.5, x.shape[-1]).float()}

    made = ViewMaker(LAYOUT, Plan(views=PAIR), ViewsConfig(), (Drop(),), window=(N,))(batch())
    for view in made:
        assert view.channel_valid[:, :3].all()
        assert view.channel_valid[:, 3].equal(view.params["drop.absent"][:, 0] < 0.5)
    assert not made[0].channel_valid.equal(made[1].channel_valid)
