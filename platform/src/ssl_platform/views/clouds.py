"""Views of point sets: where `grids` resamples, these turn, crop and choose points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry, Layout
from ssl_platform.views.crops import Crop
from ssl_platform.views.grids import Sources, choose_crop
from ssl_platform.views.photometry import Photometry
from ssl_platform.views.points import Frame, cut, frame
from ssl_platform.views.recipe import ViewRecipe
from ssl_platform.views.sources import Made, Source


def make_clouds(
    recipes: Iterable[ViewRecipe], sources: Sources, streams: Mapping[str, Draws], photometry: Photometry
) -> dict[str, Made]:
    """Make the views of a batch of point sets; arguments as for `make_grids`.

    A view that follows another (inside, like, overlap) shares its turned frame, since boxes compare only there.
    """
    rank = photometry.layout.rank
    whole = (1,) * rank  # the frame's box counts as a window of one cell
    frames: dict[str, Frame] = {}
    crops: dict[str, Crop] = {}
    made: dict[str, Made] = {}
    for recipe in recipes:
        source = sources[recipe.spec.read, recipe.spec.part]
        draws = streams[recipe.name].child("geometry")
        followed = next(iter(recipe.follows), None)
        place = frames[followed] if followed else frame(recipe.rule, draws, source.x[..., :rank], source.valid)
        still = replace(recipe, rule=replace(recipe.rule, planes=()))
        crop = choose_crop(still, crops, draws, whole, whole, place.size)
        frames[recipe.name], crops[recipe.name] = place, crop
        made[recipe.name] = _cloud(recipe, source, place, crop, streams, photometry)
    return made


def _cloud(
    recipe: ViewRecipe,
    source: Source,
    place: Frame,
    crop: Crop,
    streams: Mapping[str, Draws],
    photometry: Photometry,
) -> Made:
    assert recipe.points is not None  # recipes of point layouts have them
    draws = streams[recipe.photometry].child("intensity")
    x, valid, geometry, box, params = cut(source.x, source.valid, place, crop, recipe.points, draws, source.item)
    rank = crop.base.shape[-1]
    channels = source.part.channels[rank:]
    if channels:
        kept = None if source.part.channel_valid is None else source.part.channel_valid[:, rank:]
        features, drawn = photometry.without(recipe.spec.off).apply(
            _turned(x[..., rank:], channels, photometry.layout, geometry),
            valid,
            kept,
            channels,
            box,
            source.meta,
            draws,
            recipe.photometric,
        )
        x = torch.cat([x[..., :rank], features], -1)
        params = params | drawn
    return Made(x, valid, geometry, box, crop.params | params)


def _turned(features: Tensor, channels: tuple[str, ...], layout: Layout, geometry: Geometry) -> Tensor:
    """`[B, N, C - S]` features whose directions (normals) point along the view's axes."""
    units = {channel.name: channel.unit for channel in layout.channels}
    first = [i for i, name in enumerate(channels) if units.get(name) == "direction"][:: layout.rank]
    axes = geometry.matrix / geometry.matrix.square().sum(1, keepdim=True).sqrt()
    for i in first:
        own = slice(i, i + layout.rank)
        turned = (features[..., own, None] * axes[:, None]).sum(2)
        features = torch.cat([features[..., :i], turned, features[..., own.stop :]], -1)
    return features


def coordinates(x: Tensor, spacing: Tensor) -> Tensor:
    """`[B, N, S]` position in `[0, 1]^S` over the view of the points of a view.

    Args:
        x: `[B, N, C]`, `View.x`.
        spacing: `[B, S]`, `View.spacing`.
    """
    return x[..., : spacing.shape[-1]] / spacing[:, None] + 0.5
