"""Several views of equal size as one, so that they share a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Geometry, View

_T = TypeVar("_T")


def cat(views: Sequence[View]) -> View:
    """Concatenate views along the batch.

    Validity that only some of the views carry is completed with "all valid". Facts that some views lack (meta,
    parameters, labels, geometry) are left out.

    Args:
        views: at least one view; all of equal channels and size.

    Raises:
        ValueError: no view was given, or their shapes differ.
    """
    if not views:
        raise ValueError("View.cat needs at least one view")
    first = views[0]
    shapes = {tuple(v.x.shape[1:]) for v in views}
    if len(shapes) > 1:
        raise ValueError(f"View.cat needs views of equal shape, got {sorted(shapes)}: cat each size on its own")
    roles = list(dict.fromkeys(v.role for v in views))
    return View(
        x=torch.cat([v.x for v in views]),
        valid=_completed([v.valid for v in views], views),
        channel_valid=_completed([v.channel_valid for v in views], views),
        channels=first.channels,
        role="+".join(roles),
        index=_joined([v.index for v in views]),
        group=_joined([v.group for v in views]),
        spacing=_joined([v.spacing for v in views]),
        geometry=_if_all([v.geometry for v in views], _cat_geometry),
        draws=_if_all([v.draws for v in views], Draws.cat),
        label=_joined([v.label for v in views]),
        meta=_shared([v.meta for v in views]),
        params=_shared([v.params for v in views]),
        part=first.part,
    )


def _completed(masks: list[Tensor | None], views: Sequence[View]) -> Tensor | None:
    """Masks one after the other, all true where a view has none; None where no view has one."""
    known = next((m for m in masks if m is not None), None)
    if known is None:
        return None
    return torch.cat(
        [
            torch.ones((len(v), *known.shape[1:]), dtype=torch.bool, device=known.device) if m is None else m
            for m, v in zip(masks, views, strict=True)
        ]
    )


def _if_all(values: list[_T | None], join: Callable[[list[_T]], _T]) -> _T | None:
    present = [v for v in values if v is not None]
    return join(present) if present and len(present) == len(values) else None


def _joined(values: list[Tensor | None]) -> Tensor | None:
    return _if_all(values, lambda tensors: torch.cat(tensors))


def _cat_geometry(parts: list[Geometry]) -> Geometry:
    return Geometry(
        matrix=torch.cat([g.matrix for g in parts]),
        offset=torch.cat([g.offset for g in parts]),
        item=torch.cat([g.item for g in parts]),
    )


def _shared(facts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Facts that every view has with the same trailing shape."""
    names = [n for n in facts[0] if all(n in f and f[n].shape[1:] == facts[0][n].shape[1:] for f in facts)]
    return {name: torch.cat([f[name] for f in facts]) for name in names}
