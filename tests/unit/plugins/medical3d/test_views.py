"""The physics of medical views."""

import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Batch, Channel, Layout, PartBatch
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.views import BiasField, HounsfieldWindow, operations

B = 200
DRAWS = Draws.at(0, torch.arange(B))
LAYOUT = Layout("C D H W", unit="mm", symmetries=frozenset({"flip:W"}))


def context(x, channels, strength=1.0, layout=LAYOUT):
    return Context(layout, x, None, None, torch.ones(len(x), 3), channels, strength)


def test_the_window_is_exact_without_augmentation_and_varies_with_it():
    x = torch.linspace(-3000, 3000, 6 * 6 * 6).view(1, 1, 6, 6, 6).expand(B, -1, -1, -1, -1)
    window = HounsfieldWindow(window=(-200.0, 300.0))
    plain, _ = window.apply(x, context(x, ("ct",), strength=0.0), DRAWS)
    assert plain.equal(x.clamp(-200, 300))
    varied, params = window.apply(x, context(x, ("ct",)), DRAWS)
    low, high = params["range"].unbind(1)
    torch.testing.assert_close(varied.amin((1, 2, 3, 4)), low)
    torch.testing.assert_close(varied.amax((1, 2, 3, 4)), high)
    width = high - low
    assert 390 < width.min() < 430 and 580 < width.max() < 620
    assert ((low + high) / 2 - 50).abs().max() <= 25 and ((low + high) / 2).std() > 10
    inside = (x >= low.view(-1, 1, 1, 1, 1)) & (x <= high.view(-1, 1, 1, 1, 1))
    assert varied[inside].equal(x[inside])  # values stay in HU


def test_the_bias_field_is_smooth_positive_and_of_mean_one():
    x = torch.ones(B, 2, 16, 16, 16)
    field, params = BiasField().apply(x, context(x, ("t1", "t2")), DRAWS)
    assert field[:, 0].equal(field[:, 1]) and field.min() > 0
    on = params["coefficients"].abs().sum(1) > 0
    assert 0.35 < on.float().mean() < 0.65 and (field[~on] == 1).all()
    assert field[on].std((1, 2, 3, 4)).min() > 0.02
    logs = field[on, 0].log()
    assert logs.mean().abs() < 0.02
    assert logs.diff(dim=1).abs().max() < 0.6 and logs.diff(dim=1).diff(dim=1).abs().max() < 0.25


def test_each_modality_gets_its_own_physics():
    x = torch.full((B, 2, 8, 8, 8), 5000.0)
    units = Layout("C D H W", (Channel("a", "HU"), Channel("b")))
    for channels, layout in ((("ct", "mr"), LAYOUT), (("a", "b"), units)):
        clipped, _ = HounsfieldWindow().apply(x, context(x, channels, layout=layout), DRAWS)
        assert clipped[:, 0].max() < 2000 and clipped[:, 1].eq(5000).all()
        biased, _ = BiasField().apply(x, context(x, channels, layout=layout), DRAWS)
        assert biased[:, 0].eq(5000).all() and biased[:, 1].ne(5000).any()
    assert HounsfieldWindow().apply(x, context(x, ("mr", "pet")), DRAWS)[0] is x
    assert BiasField().apply(x, context(x, ("ct", "ct-1")), DRAWS)[0] is x


def test_every_ct_view_shows_the_window_of_the_options():
    options = Medical3DOptions(hu_window=(-100, 200))
    plan = Plan(views=(ViewSpec(), ViewSpec(role="plain", photometric=False)))
    maker = ViewMaker(LAYOUT, plan, ViewsConfig(), operations(options), window=(8, 8, 8))
    data = torch.randint(-1000, 3000, (4, 1, 8, 8, 8), dtype=torch.int16)
    part = PartBatch(data, None, None, torch.ones(4, 3), torch.zeros(4, 3), ("ct",))
    index = torch.arange(4)
    batch = Batch(({"main": part},), index, index, index)
    with forbid_sync():
        varied, plain = maker(batch)
        clean = maker.clean(batch)
    assert (plain.x.min(), plain.x.max()) == (-100, 200) and clean.x.equal(data.float().clamp(-100, 200))
    assert varied.x.min() != -100 and "hu-window.range" in varied.params
