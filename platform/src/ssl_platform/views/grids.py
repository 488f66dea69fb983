"""Views of grids: all crops first, then one resample and one pass of every operation for views of equal kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry
from ssl_platform.views.constants import constant
from ssl_platform.views.crops import Crop, draw, draw_inside, draw_overlapping
from ssl_platform.views.photometry import Photometry
from ssl_platform.views.recipe import ViewRecipe
from ssl_platform.views.resample import resample
from ssl_platform.views.sources import Made, Source

Sources = Mapping[tuple[int, str], Source]


def make_grids(
    recipes: Iterable[ViewRecipe],
    sources: Sources,
    streams: Mapping[str, Draws],
    photometry: Photometry,
    base: Sequence[int],
) -> dict[str, Made]:
    """Make the views of a batch.

    Args:
        recipes: each after those it follows.
        sources: by read and part.
        streams: each view's draws.
        photometry: intensity operations.
        base: the window that scales refer to.
    """
    crops: dict[str, Crop] = {}
    windows: dict[str, tuple[int, ...]] = {}
    groups: dict[tuple[object, ...], list[ViewRecipe]] = {}
    for recipe in recipes:
        source = sources[recipe.spec.read, recipe.spec.part]
        window = tuple(source.x.shape[2:])
        placed = {
            name: _in_window(crop, windows[name], window) for name, crop in crops.items() if name in recipe.follows
        }
        crop = choose_crop(recipe, placed, streams[recipe.name].child("geometry"), window, base, source.part.spacing)
        crops[recipe.name], windows[recipe.name] = crop, window
        groups.setdefault(_kind(recipe, crop), []).append(recipe)
    made: dict[str, Made] = {}
    for members in groups.values():
        source = sources[members[0].spec.read, members[0].spec.part]
        draws = Draws.cat([streams[r.photometry].child("intensity") for r in members])
        made |= _make_group(members, source, [crops[r.name] for r in members], draws, photometry)
    return made


def choose_crop(
    recipe: ViewRecipe,
    placed: Mapping[str, Crop],
    draws: Draws,
    window: Sequence[int],
    base: Sequence[int],
    spacing: Tensor,
) -> Crop:
    """The crop of a view.

    Args:
        recipe: of the view.
        placed: crops of the views it follows, in this view's window.
        draws: the view's stream for geometry.
        window: cells read along each axis.
        base: the window that scales refer to.
        spacing: `[B, S]` physical size of a cell of the window.
    """
    if recipe.geometry != recipe.name:
        return placed[recipe.geometry]
    if recipe.parent is not None:
        return draw_inside(recipe.rule, draws, placed[recipe.parent], window)
    reference = tuple(min(n, m) for n, m in zip(base, window, strict=True))
    if recipe.first is not None and recipe.spec.overlap is not None:
        first, least = placed[recipe.first], recipe.spec.overlap
        return draw_overlapping(recipe.rule, draws, first, least, window, reference, spacing)
    return draw(recipe.rule, draws, window, reference, spacing)


def _in_window(crop: Crop, there: tuple[int, ...], here: tuple[int, ...]) -> Crop:
    """A crop in another window of the same place: parts may differ in cell size."""
    return crop.scaled_to(tuple(n / m for n, m in zip(here, there, strict=True)))


def _kind(recipe: ViewRecipe, crop: Crop) -> tuple[object, ...]:
    """What views must share to be made together."""
    swapped = tuple((a, b) for a, b, _ in crop.swaps)
    spec = recipe.spec
    return spec.read, spec.part, recipe.size, crop.exact, crop.size, crop.planes, swapped, recipe.photometric


def _make_group(
    members: Sequence[ViewRecipe], source: Source, crops: Sequence[Crop], draws: Draws, photometry: Photometry
) -> dict[str, Made]:
    part, size, count = source.part, members[0].size, len(members)
    geometries = [c.geometry(part.spacing, part.origin, source.item) for c in crops]
    spacing = cell_size(geometries, size)
    params: dict[str, Tensor] = {}
    sigma = None
    augment = members[0].photometric
    if augment:
        sigma = photometry.sigma(spacing, draws)
        if sigma is not None:
            params["blur.sigma"] = sigma
    x, valid = resample(source.x, source.valid, crops, size, photometry.layout.fill, sigma)
    meta = {name: value.repeat(count) for name, value in source.meta.items()}
    kept = None if part.channel_valid is None else part.channel_valid.repeat(count, 1)
    x, drawn = photometry.apply(x, valid, kept, part.channels, spacing, meta, draws, augment)
    params |= drawn
    made = {}
    rows = len(source.x)
    for k, (recipe, geometry, crop) in enumerate(zip(members, geometries, crops, strict=True)):
        own = slice(k * rows, (k + 1) * rows)
        drawn = crop.params | {name: value[own] for name, value in params.items()}
        made[recipe.name] = Made(x[own], None if valid is None else valid[own], geometry, spacing[own], drawn)
    return made


def cell_size(geometries: Sequence[Geometry], size: tuple[int, ...]) -> Tensor:
    """`[V * B, S]` physical size of a view's cells along its own axes."""
    matrix = torch.cat([g.matrix for g in geometries])
    return matrix.square().sum(1).sqrt() / constant(size, matrix.device)
