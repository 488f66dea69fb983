"""How large views are, and the smallest window that holds them. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Layout
from ssl_platform.views.symmetry import axes, planes

GLOBAL_SCALE = (0.4, 1.0)  # of the window's volume; shape and texture stay recognisable
LOCAL_SCALE = (0.1, 0.4)  # DINO's local crops stop where its global ones begin
ROOM = 5 / 6  # of the window's side: several global views that are not scaled get it, so that they differ in place


def view_size(
    spec: ViewSpec, config: ViewsConfig, layout: Layout, window: Sequence[int], multiple: int | Sequence[int] = 1
) -> tuple[int, ...]:
    """Cells of a view along each axis (or its number of points).

    One number applies to the window's longest axes; shorter axes keep their window size where that is smaller.

    Args:
        spec: the view.
        config: `views.*`.
        layout: of the domain.
        window: base window, one number a spatial axis; `(points,)` for point sets.
        multiple: the patch: automatic sizes are rounded to it.

    Raises:
        ConfigError: `views.*_size` has the wrong number of axes, or is no multiple of the patch.
    """
    steps = _per_axis(1 if layout.points else multiple, len(window))
    local = spec.local
    key = "views.local_size" if local else "views.global_size"
    setting = spec.size if spec.size is not None else (config.local_size if local else config.global_size)
    if setting == "auto":
        still = set() if config.scales or local or spec.count < 2 else set(axes(layout, "scale"))
        sides = [n / 2 if local else n * ROOM if a in still else n for a, n in enumerate(window)]
        return tuple(
            _rounded(side, step, n, down=not local) for side, n, step in zip(sides, window, steps, strict=True)
        )
    if isinstance(setting, int):
        longest = max(window)
        setting = [setting if n == longest else min(setting, n) for n in window]
    if len(setting) != len(window):
        raise ConfigError(f"{key}={list(setting)} names {len(setting)} axes, the window has {len(window)}")
    if spec.size is not None:
        return tuple(_rounded(n, step, n) for n, step in zip(setting, steps, strict=True))
    for n, step in zip(setting, steps, strict=True):
        if n % step:
            raise ConfigError(f"{key}={n} is not a multiple of the patch size {step}: use {max(1, n // step) * step}")
    return tuple(setting)


def view_scale(spec: ViewSpec, config: ViewsConfig) -> tuple[float, float]:
    """Fraction of the window's volume (of the parent view's with `inside`) that a crop covers.

    Raises:
        ConfigError: the range is empty or leaves `(0, 1]`.
    """
    local = spec.local
    given = spec.scale or (config.local_scale if local else config.global_scale)
    low, high = given or (LOCAL_SCALE if local else GLOBAL_SCALE)
    if not 0 < low <= high <= 1:
        raise ConfigError(f"the scale ({low}, {high}) of the {spec.role!r} views must rise within (0, 1]")
    return low, high


def base_window(
    plan: Plan, config: ViewsConfig, layout: Layout, window: Sequence[int], multiple: int | Sequence[int] = 1
) -> tuple[int, ...]:
    """The window crops are fractions of, before any rotation margin: `window`, or the largest view if larger."""
    if layout.points:
        return tuple(window)
    sizes = [view_size(spec, config, layout, window, multiple) for spec in plan.views]
    return tuple(max(n, *(size[a] for size in sizes)) for a, n in enumerate(window))


def read_size(
    plan: Plan, config: ViewsConfig, layout: Layout, window: Sequence[int], multiple: int | Sequence[int] = 1
) -> tuple[int, ...]:
    """The smallest window that holds all views of `plan`, rotation margin included.

    The margin assumes equal spacing along both axes of a plane; where it differs, rotated crops are shrunk to fit.

    Args:
        plan: of the objective.
        config: `views.*`.
        layout: of the domain.
        window: base window, one number a spatial axis; `(points,)` for point sets.
        multiple: the patch, as for `view_size`.
    """
    base = base_window(plan, config, layout, window, multiple)
    needed = [float(n) for n in base]
    if layout.points or not config.rotate or "rotate" in config.off or config.crops_only:
        return base
    scaled = set(axes(layout, "scale")) if config.scales else set()
    for spec in plan.views:
        if spec.clean or not spec.flips or spec.inside is not None:
            continue
        side = view_scale(spec, config)[1] ** (1 / max(1, len(scaled)))
        size = view_size(spec, config, layout, window, multiple)
        extent = [base[a] * side if a in scaled else float(size[a]) for a in range(layout.rank)]
        for a, b in planes(layout, "rotate"):
            needed[a] = max(needed[a], _rotated(extent[a], extent[b], config.rotate))
            needed[b] = max(needed[b], _rotated(extent[b], extent[a], config.rotate))
    return tuple(math.ceil(n - 1e-6) for n in needed)


def _rotated(along: float, across: float, degrees: float) -> float:
    """Largest extent along an axis of a box turned by up to `degrees`."""
    angle = min(math.radians(degrees), math.atan2(across, along))
    return math.cos(angle) * along + math.sin(angle) * across


def _rounded(n: float, step: int, limit: int, down: bool = False) -> int:
    """`n` rounded to a positive multiple of `step` (down, or to the nearest), or `limit` when that is shorter."""
    count = int(n // step) if down else round(n / step)
    return min(max(1, count) * step, limit) if limit < step else max(1, count) * step


def _per_axis(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)
