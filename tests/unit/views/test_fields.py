"""Random field augmentations (card 016) on any rank."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Layout, View
from ssl_platform.views.fields import FieldShift, displace, fields, gaussian_fields
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context

AXES = {1: "C T", 2: "C H W", 3: "C D H W"}


def layout_of(rank: int) -> Layout:
    return Layout(AXES[rank], unit="mm", symmetries=frozenset({"scale", "gain", "offset"}))


def made(samples: int, size: tuple[int, ...], gamma: float, count: int = 1) -> torch.Tensor:
    draws = Draws.at(0, torch.arange(samples))
    return gaussian_fields(draws, "field", count, torch.ones(samples, len(size)), size, gamma)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 4.0])
def test_power_falls_with_frequency_as_asked(gamma: float) -> None:
    """Log-log slope of the radially averaged spectrum of 1000 fields, within 0.1."""
    power = torch.fft.fft2(made(1000, (32, 32), gamma)[:, 0]).abs().square().mean(0)
    cycles = torch.fft.fftfreq(32) * 32
    radius = (cycles[:, None].square() + cycles[None].square()).sqrt().round()
    rings = torch.arange(3, 15)
    mean = torch.stack([power[radius == r].log().mean() for r in rings])
    distance = torch.stack(
        [((cycles[:, None] ** 2 + cycles[None] ** 2).sqrt())[radius == r].log().mean() for r in rings]
    )
    centred = distance - distance.mean()
    slope = float((centred * mean).sum() / centred.square().sum())
    assert slope == pytest.approx(-gamma, abs=0.1)


@pytest.mark.parametrize("size", [(40,), (24, 15), (8, 12, 10)])
def test_each_field_has_mean_zero_and_variance_one(size: tuple[int, ...]) -> None:
    field = made(6, size, 5.0, count=3).flatten(2)
    assert field.shape[:2] == (6, 3)
    assert field.mean(-1).abs().max() < 1e-4 and (field.std(-1, correction=0) - 1).abs().max() < 1e-3
    cosine = torch.corrcoef(field.flatten(0, 1)).fill_diagonal_(0)
    assert cosine.abs().max() < 0.999  # all of their own


def test_a_very_smooth_field_is_nearly_global() -> None:
    field = made(2, (1024, 1024), 20.0)[:, 0]
    windows = field.unfold(1, 16, 16).unfold(2, 16, 16).flatten(3)
    assert windows.std(-1).max() < 0.05


def test_cells_need_not_be_cubes() -> None:
    """Lengths count: with planes four times as thick, a field changes as fast along each axis in millimetres."""
    spacing = torch.tensor([[4.0, 1.0]]).expand(64, -1)
    field = gaussian_fields(Draws.at(0, torch.arange(64)), "field", 1, spacing, (16, 64), 8.0)[:, 0]
    along = (field.diff(dim=1) / 4).square().mean().sqrt()
    across = field.diff(dim=2).square().mean().sqrt()
    assert float(along / across) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_strength_zero_returns_the_input(rank: int) -> None:
    x = torch.randn(4, 2, *(12,) * rank)
    context = Context(layout_of(rank), x, None, None, torch.ones(4, rank), ("a", "b"), 1.0)
    assert fields(layout_of(rank), 0.0, 6.0) == ()
    for operation in fields(layout_of(rank), 1.0, 6.0):
        kind = type(operation)
        for still in (kind(6.0, 0.0, probability=1.0), kind(6.0, 1.0, probability=0.0)):
            y, params = still.apply(x, context, Draws.at(0, torch.arange(4)))
            torch.testing.assert_close(y, x, atol=1e-5, rtol=0)
            assert (params["std"] == 0).all()
        y, params = kind(6.0, 1.0, probability=1.0).apply(x, context, Draws.at(0, torch.arange(4)))
        assert (y - x).abs().max() > 0.01 and (params["std"] > 0).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_whole_shifts_pick_cells_and_labels_move_with_the_image(rank: int) -> None:
    size = (9,) * rank
    x = torch.randn(2, 1, *size)
    shift = torch.zeros(2, rank, *size)
    shift[:, -1] = 2.0
    expected = torch.cat([x[..., 2:], x[..., -1:], x[..., -1:]], -1)
    torch.testing.assert_close(displace(x, shift), expected, atol=1e-5, rtol=1e-5)
    smooth = 1.5 * made(2, size, 6.0, count=rank)
    labels = (x > 0).float()
    moved = displace(labels, smooth, mode="nearest")
    assert set(moved.unique().tolist()) <= {0.0, 1.0}
    between = displace(labels, smooth)
    assert torch.equal(moved[between > 0.999], torch.ones_like(moved[between > 0.999]))  # the same coordinates
    assert torch.equal(moved[between < 0.001], torch.zeros_like(moved[between < 0.001]))


def test_invalid_cells_never_flow_into_others() -> None:
    x, valid = torch.rand(2, 1, 16, 16), torch.ones(2, 16, 16, dtype=torch.bool)
    valid[:, :, 10:] = False
    shift = 3 * made(2, (16, 16), 4.0, count=2)
    a, b = (displace(torch.where(valid[:, None], x, fill), shift, valid) for fill in (0.0, torch.nan))
    keep = valid[:, None]
    assert torch.equal(a[keep], b[keep]) and a[keep].min() >= x.min() - 1e-4  # no zeros of the border


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_views_take_them_when_asked_in_batch_without_waiting(rank: int) -> None:
    config = ViewsConfig(fields=1.0, recipe="original")
    symmetries = frozenset({"scale", "gain", "offset"})
    layout = Layout(toy_layout(rank).axes, toy_layout(rank).channels, "mm", symmetries)
    window = (16,) * rank
    maker = ViewMaker(layout, Plan.augmented(2), config, seed=0, window=window)
    whole, half = toy_batch(8, rank), toy_batch(4, rank, start=4)
    maker(whole)  # constants are made once
    with forbid_sync():
        views = maker(whole)
    torch.testing.assert_close(views[0].x[4:], maker(half)[0].x, atol=1e-6, rtol=1e-6)
    names = {"field-shift.std", "field-gain.std", "field-offset.std"}
    assert names <= views[0].params.keys()
    assert 0.2 < float(torch.stack([views[0].params[n][:, 0] > 0 for n in sorted(names)]).float().mean()) < 0.9
    without = ViewMaker(layout, Plan.augmented(2), ViewsConfig(), seed=0, window=window)(whole)
    assert not names & without[0].params.keys()
    less = ViewMaker(layout, Plan.augmented(2), ViewsConfig(fields=1.0, off=["field-shift"]), seed=0, window=window)
    assert "field-shift.std" not in less(whole)[0].params


def test_operations_that_go_by_the_range_of_values_stay_finite_after_them() -> None:
    """Fields push values below the least one; an exponent of what lies below it would be no number."""
    layout = Layout("C H W", toy_layout(2).channels, "mm", frozenset({"scale", "gain", "offset", "gamma"}))
    views = ViewMaker(layout, Plan.augmented(2), ViewsConfig(fields=4.0), seed=0, window=(16, 16))(toy_batch(64))
    assert (views[0].params["gamma.exponent"] != 1).any() and all(view.x.isfinite().all() for view in views)


def test_an_axis_that_may_not_be_scaled_is_never_shifted() -> None:
    layout = Layout("C F T", symmetries=frozenset({"scale:T"}))
    x = torch.arange(12.0).view(1, 1, 12, 1).expand(1, 1, 12, 20).contiguous()  # differs along F only
    context = Context(layout, x, None, None, torch.ones(1, 2), ("a",), 1.0)
    y, params = FieldShift(4.0, 2.0, 1.0).apply(x, context, Draws.at(0, torch.arange(1)))
    torch.testing.assert_close(y, x, atol=1e-4, rtol=0)
    assert params["std"].tolist()[0] == pytest.approx([0.0, 0.02 * 20 * 2])


def test_points_move_smoothly_too() -> None:
    layout = toy_layout(points=True)
    batch = toy_batch(8, points=True)

    def view(**settings: object) -> View:
        config = ViewsConfig(off=["noise", "cutout", "rotate"], zoom=False, **settings)
        return ViewMaker(layout, Plan.augmented(1), config, seed=0, window=(64,))(batch)[0]

    plain, moved = view(), view(fields=2.0)
    std = moved.params["field-shift.std"][:, 0]
    assert sorted({round(value, 6) for value in std.tolist()}) == [0.0, 0.04]
    step = (moved.x - plain.x)[..., :3] / plain.spacing[:, None]
    assert torch.equal(moved.x[std == 0], plain.x[std == 0])
    assert 0.01 < float(step[std > 0].std()) < 0.08
    near = torch.cdist(plain.x[..., :3], plain.x[..., :3]).masked_fill_(torch.eye(64, dtype=torch.bool), torch.inf)
    neighbour = step.gather(1, near.argmin(-1)[..., None].expand(-1, -1, 3))
    any_two = step - step.roll(1, dims=1)
    assert float((step - neighbour)[std > 0].std()) < 0.5 * float(any_two[std > 0].std())
    assert "field-shift.std" not in view(fields=2.0, recipe="crop").params
