"""Checks of views: shapes, ranges, and that the recorded geometry leads back to the same values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, checks_of
from ssl_platform.testing.conformance.subject import DomainUnderTest
from ssl_platform.testing.sync import SyncError, forbid_sync
from ssl_platform.train.assemble import patch_of
from ssl_platform.types import View, Views
from ssl_platform.views.clouds import coordinates
from ssl_platform.views.maker import ViewMaker

REPLAYED = 0.02
"""Largest mean difference between a view and its replay, as a part of the view's spread."""
AUGMENTED = Plan(views=(ViewSpec(role="global", count=2), ViewSpec(role="local", count=2)))


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's views."""
    yield from checks_of(
        domain,
        ("views.shapes", "augmented views have the sizes planned, and only finite values", shapes),
        ("views.clean", "clean values lie in the range the layout names", clean_range),
        ("views.range", "augmentation keeps values in their physical range", augmented_range),
        ("views.geometry", "the recorded geometry, replayed on the source, gives the same values", geometry),
        ("views.repeat", "a sample's views depend on its position alone, not on its batch", repeat),
        ("views.invalid", "what invalid cells hold changes no view", invalid),
        ("views.sync", "making views never makes the host wait for the device", sync),
    )


def maker(domain: DomainUnderTest, plan: Plan = AUGMENTED, **config: Any) -> ViewMaker:
    """Views of the domain's default window with its own operations."""
    config = {"global_size": domain.sizes(), "local_size": domain.sizes(local=True), **config}
    return ViewMaker(
        domain.layout,
        plan,
        ViewsConfig(**config),
        tuple(domain.domain.views()),
        0,
        window=domain.window,
        size_multiple=patch_of(domain.config(), domain.domain),
    )


def _views(domain: DomainUnderTest) -> tuple[ViewMaker, Views]:
    def make() -> tuple[ViewMaker, Views]:
        ours = maker(domain)
        return ours, ours(domain.batches()[0])

    return domain.once("augmented views", make)


def shapes(domain: DomainUnderTest) -> str:
    """Sizes, validity and finiteness of augmented views."""
    ours, views = _views(domain)
    points = domain.layout.points
    for recipe, view in zip(ours.recipes, views, strict=True):
        size = tuple(view.x.shape[1:2] if points else view.x.shape[2:])
        if size != recipe.size:
            raise Violation(
                f"a {recipe.name} view has {size} cells, planned are {recipe.size}", "an Operation keeps the shape of x"
            )
        if view.x.shape[2 if points else 1] != len(view.channels):
            raise Violation(
                f"a {recipe.name} view has {tuple(view.x.shape)} values for {len(view.channels)} channels",
                "an Operation keeps the channels; what it takes away it reports as the parameter 'absent'",
            )
        if not valid_values(view, points).isfinite().all():
            raise Violation(
                f"a {recipe.name} view holds NaN or infinity where it is valid",
                "mark missing cells invalid in read(); guard logarithms and divisions in Operation.apply",
            )
        if view.valid is not None and not view.valid.flatten(1).any(1).all():
            raise Violation(f"a {recipe.name} view holds no valid cell", "lower views.global_scale or choose windows")
    return ", ".join(f"{r.name} {'x'.join(str(n) for n in r.size)}" for r in ours.recipes[::2])


def valid_values(view: View, points: bool) -> Tensor:
    """All valid values of a view, flat."""
    keep = torch.ones_like(view.x, dtype=torch.bool)
    if view.valid is not None:
        keep &= view.valid[..., None] if points else view.valid[:, None]
    if view.channel_valid is not None:
        rows, channels = view.channel_valid.shape
        spread = (1, channels) if points else (channels, *[1] * (view.x.ndim - 2))
        keep &= view.channel_valid.view(rows, *spread)
    return view.x[keep]


def clean_range(domain: DomainUnderTest) -> str:
    """Clean values against `Channel.bounds`."""
    return _in_bounds(domain, [domain.clean], 1.0, "read() gives values in the units of Channel.bounds")


def augmented_range(domain: DomainUnderTest) -> str:
    """Augmented values against the same, with room for jitter."""
    return _in_bounds(
        domain, _views(domain)[1], 2.0, "an Operation keeps physical units: it jitters, it never rescales"
    )


def _in_bounds(domain: DomainUnderTest, views: Sequence[View], room: float, fix: str) -> str:
    """Nearly all values lie within the bounds widened by `room`, and they fill more than a thousandth of them."""
    bounds = {c.name: c.bounds for c in domain.layout.channels if c.bounds is not None}
    points, seen = domain.layout.points, set()
    for view in views:
        for i, name in enumerate(view.channels):
            if name not in bounds:
                continue
            one = view.replace(
                x=view.x.narrow(2 if points else 1, i, 1),
                channel_valid=None if view.channel_valid is None else view.channel_valid[:, i : i + 1],
            )
            values = valid_values(one, points)
            if not len(values):
                continue
            low, high = bounds[name]
            width = high - low
            outside = ((values < low - room * width) | (values > high + room * width)).float().mean()
            if outside > 0.01:
                raise Violation(
                    f"channel {name!r} runs from {float(values.min()):.4g} to {float(values.max()):.4g}, its bounds "
                    f"are ({low:g}, {high:g})",
                    fix,
                )
            if 0 < float(values.max() - values.min()) < 1e-3 * width:
                raise Violation(
                    f"channel {name!r} varies by {float(values.max() - values.min()):.3g} within ({low:g}, {high:g})",
                    "values were scaled twice, or the bounds are of another unit",
                )
            seen.add(name)
    if not seen:
        raise NotApplicable("the layout names no bounds")
    return f"{len(seen)} channels"


def geometry(domain: DomainUnderTest) -> str:
    """Cut views from a window and look each of their cells up in it again."""
    spec = ViewSpec(role="global", count=2, photometric=False)
    ours = maker(domain, Plan(views=(spec,)), global_size=list(domain.window))
    batch = domain.batches()[0]
    if domain.layout.points:
        return _points_replay(domain, ours(batch), ours.clean(batch, size=domain.window))
    source = ours.clean(batch, size=ours.read_size)
    worst = max(_replay(view, source) for view in ours(batch))
    if worst > REPLAYED:
        raise Violation(
            f"views differ from what their geometry says by {worst:.2f} of their spread",
            "an Operation moves no values from place to place; front_end() records spacing and origin of its result",
        )
    return f"mean difference {worst:.4f} of the spread"


def _replay(view: View, source: View) -> float:
    """Mean difference between a view and the source looked up at its cells, in parts of the spread."""
    assert view.geometry is not None and source.geometry is not None
    size, window = view.x.shape[2:], source.x.shape[2:]
    axes = [(torch.arange(n, dtype=torch.float32) + 0.5) / n for n in size]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)  # [N, S]
    there = view.geometry.to_view(source.geometry, cells.expand(len(view), -1, -1))  # [B, N, S] in [0, 1]
    grid = (2 * there - 1).flip(-1)  # grid_sample names the last axis first
    x, real = source.x, torch.ones_like(source.x[:, :1])
    if source.valid is not None:
        real = source.valid[:, None].to(x.dtype)
    if len(window) == 1:  # rank 1 goes through two axes
        x, real, grid = x[:, :, None], real[:, :, None], torch.cat([grid, torch.zeros_like(grid)], -1)
    shape = (len(view), *([1] * (x.ndim - 3)), -1, x.ndim - 2)
    found, share = (F.grid_sample(v, grid.view(shape), padding_mode="border", align_corners=False) for v in (x, real))
    found, share = found.flatten(2), share.flatten(2)
    edge = torch.tensor([0.5 / n for n in window])
    inside = ((there > edge) & (there < 1 - edge)).all(-1)[:, None] & (share > 0.999)
    keep = inside.expand_as(found)
    if view.valid is not None:
        keep = keep & view.valid.flatten(1)[:, None]
    ours = view.x.flatten(2)
    if not keep.any():
        return 0.0
    # Where a view has fewer cells than its crop it is averaged, so only its smooth part is compared.
    spread = ours[keep].std().clamp_min(1e-6)
    return float((ours - found)[keep].abs().mean() / spread)


def _points_replay(domain: DomainUnderTest, views: Views, source: View) -> str:
    """Every point of a view lies, by its geometry, where a point of the source lies."""
    assert source.geometry is not None and source.spacing is not None
    known = source.geometry.to_source(coordinates(source.x, source.spacing))
    quiet = 0.0
    for view in views:
        assert view.geometry is not None and view.spacing is not None
        found = view.geometry.to_source(coordinates(view.x, view.spacing))
        far = torch.cdist(found, known).masked_fill(
            torch.zeros(1, dtype=torch.bool) if source.valid is None else ~source.valid[:, None], torch.inf
        )
        nearest = far.amin(-1)
        if view.valid is not None:
            nearest = nearest.where(view.valid, torch.zeros(()))
        extent = (known.amax(1) - known.amin(1)).amax(-1, keepdim=True).clamp_min(1e-9)
        quiet = max(quiet, float((nearest / extent).amax()))
    allowed = 0.05 if "noise" in domain.layout.symmetries else 1e-3
    if quiet > allowed:
        raise Violation(
            f"a view's point lies {quiet:.3f} of the item's extent from any point of it",
            "an Operation leaves coordinates alone; the first channels read are x, y and z",
        )
    return f"farthest {quiet:.4f} of the extent"


def repeat(domain: DomainUnderTest) -> None:
    """Half a batch gives half the views."""
    from ssl_platform.data.collate import map_tensors

    batch = domain.batches()[0]
    half = map_tensors(batch, lambda t: t[len(batch) // 2 :])
    ours, whole = _views(domain)
    for a, b in zip(whole, ours(half), strict=True):
        mine, theirs = a.x[len(batch) // 2 :], b.x
        if not torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4 * float(mine.abs().max() + 1e-6), equal_nan=True):
            raise Violation(
                f"a {a.role} view changes with the other samples of its batch",
                "in Operation.apply use `draws` for every draw and no statistics over the batch axis",
            )


def invalid(domain: DomainUnderTest) -> str:
    """A hole with other values in it."""
    batch, ours, points = domain.batches()[0], _views(domain)[0], domain.layout.points
    part = batch.reads[0]["main"]  # in the axes it is read in: an operation's front_end makes them the layout's
    shape = part.data.shape[:2] if points else (len(batch), *part.data.shape[2:])
    valid = torch.ones(shape, dtype=torch.bool) if part.valid is None else part.valid.clone()
    valid[..., : valid.shape[-1] // 3] = False
    hole = ~(valid[..., None] if points else valid[:, None])
    made = []
    for value in (0, 7):
        data = torch.where(hole, torch.full_like(part.data, value), part.data)
        changed = replace(part, data=data, valid=valid)
        made.append(ours(replace(batch, reads=({**batch.reads[0], "main": changed}, *batch.reads[1:]))))
    for a, b in zip(*made, strict=True):
        if not torch.equal(valid_values(a, points), valid_values(b, points)):
            raise Violation(
                f"a {a.role} view changes with what invalid cells hold", "use context.valid in statistics and filters"
            )
    return f"{float(hole.float().mean()):.0%} of the cells invalid"


def sync(domain: DomainUnderTest) -> None:
    """No value is read back."""
    ours, _ = _views(domain)
    try:
        with forbid_sync():
            ours(domain.batches()[0])
    except SyncError as error:
        raise Violation(
            str(error), "write Operation.apply in tensor operations: no item(), no if on a tensor"
        ) from None
    except ConfigError as error:
        raise NotApplicable(str(error)) from None
