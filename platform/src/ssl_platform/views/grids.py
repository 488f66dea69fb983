"""Views of grids: all crops first, then one resample and one pass of every operation for views of equal kind."""

from __future__ import annotations

import math
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

_CACHED = 1 << 20  # float32 numbers: 4 MiB of values, about as much again of intermediates

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
        draws = [streams[r.photometry].child("intensity") for r in members]
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
    return spec.read, spec.part, recipe.size, crop.exact, crop.size, crop.planes, swapped, recipe.photometric, spec.off


def _make_group(
    members: Sequence[ViewRecipe],
    source: Source,
    crops: Sequence[Crop],
    draws: Sequence[Draws],
    photometry: Photometry,
) -> dict[str, Made]:
    """Views of one kind, all together; on a CPU in slices of the batch that its cache holds."""
    part, size, augment = source.part, members[0].size, members[0].photometric
    photometry = photometry.without(members[0].spec.off)
    geometries = [c.geometry(part.spacing, part.origin, source.item) for c in crops]
    spacing = cell_size(geometries, size)
    pieces = [
        _values(
            source.rows(own),
            [c.rows(own) for c in crops],
            spacing[:, own],
            [d.select(own) for d in draws],
            size,
            photometry,
            augment,
        )
        for own in _slices(source.x, size, len(members))
    ]
    x = _joined([piece[0] for piece in pieces])
    masks = [piece[1] for piece in pieces if piece[1] is not None]
    valid = _joined(masks) if masks else None
    params = {name: _joined([piece[2][name] for piece in pieces]) for name in pieces[0][2]}
    return {
        recipe.name: Made(
            x=x[k],
            valid=None if valid is None else valid[k],
            geometry=geometries[k],
            spacing=spacing[k],
            params=crops[k].params | {name: value[k] for name, value in params.items()},
        )
        for k, recipe in enumerate(members)
    }


def _values(
    source: Source,
    crops: Sequence[Crop],
    spacing: Tensor,
    draws: Sequence[Draws],
    size: tuple[int, ...],
    photometry: Photometry,
    augment: bool,
) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
    """Values `[V, B, C, *size]`, validity and parameters of V views: one resample, one pass of every operation."""
    part, views = source.part, len(crops)
    stream, spacing = Draws.cat(list(draws)), spacing.flatten(0, 1)
    params: dict[str, Tensor] = {}
    sigma = photometry.sigma(spacing, stream) if augment else None
    if sigma is not None:
        params["blur.sigma"] = sigma
    x, valid = resample(source.x, source.valid, crops, size, photometry.layout.fill, sigma)
    meta = {name: value.repeat(views) for name, value in source.meta.items()}
    kept = None if part.channel_valid is None else part.channel_valid.repeat(views, 1)
    x, drawn = photometry.apply(x, valid, kept, part.channels, spacing, meta, stream, augment)
    params |= drawn
    apart = {name: value.unflatten(0, (views, -1)) for name, value in params.items()}
    return x.unflatten(0, (views, -1)), None if valid is None else valid.unflatten(0, (views, -1)), apart


def _slices(x: Tensor, size: tuple[int, ...], views: int) -> list[slice]:
    """Samples made at once: all of them, or on a CPU as many as leave the views within `_CACHED` numbers.

    Results do not depend on it; a batch that overflows the cache takes up to twice as long.
    """
    rows, channels = x.shape[:2]
    step = rows if x.device.type != "cpu" else max(1, _CACHED // (views * channels * math.prod(size)))
    return [slice(start, start + step) for start in range(0, rows, step)]


def _joined(pieces: Sequence[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces), 1)


def cell_size(geometries: Sequence[Geometry], size: tuple[int, ...]) -> Tensor:
    """`[V, B, S]` physical size of a view's cells along its own axes."""
    matrix = torch.stack([g.matrix for g in geometries])
    return matrix.square().sum(2).sqrt() / constant(size, matrix.device)
