"""A net of one rank less over the slices of a view: `slices:vit-tiny` of a volume, `frames:timm:resnet18` of a clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.validity import valid_mean
from ssl_platform.types import Features, Layout, Mask, View

Build = Callable[..., Backbone]


class Normalised(nn.Module):
    """Stands where an inner net's normaliser was: its views come normalised."""

    def forward(self, view: View) -> Tensor:
        """The view's values as they are."""
        return view.x


class SliceBackbone(Backbone):
    """Encodes every slice along one axis by itself; pooling is the mean over slices that hold anything valid.

    Args:
        net: backbone of one rank less; its normaliser becomes this backbone's.
        axis: the axis of slices among the spatial axes.
        every: use each `every`-th slice only, from the middle of the first step.
    """

    def __init__(self, net: Backbone, axis: int, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise ConfigError(f"backbone.every={every} must be at least 1")
        self.axis, self.every = axis, every
        self.embed_dim = net.embed_dim
        self.offers = frozenset(net.offers & {"tokens", "pyramid"})
        self.normaliser = net.normaliser
        net.normaliser = Normalised()
        self.net = net

    def forward(self, view: View, visible: Mask | None = None, taps: Sequence[str] = ()) -> Features:
        """Features of a raw view; subsets and intermediate outputs are not offered."""
        if visible is not None or taps:
            raise NotImplementedError("nets over slices offer neither visible subsets nor outputs by name")
        inner, slices, slice_valid = self._cut(self.normalise(view))
        found = self.net(inner)
        b = view.x.shape[0]
        prefix = found.pooled.new_zeros(b, 0, self.embed_dim)
        pooled = valid_mean(found.pooled.unflatten(0, (b, slices)), slice_valid)
        pyramid = [(self._stack(m, b, slices, 2), stride) for m, stride in found.pyramid]
        if found.tokens is None or found.coords is None:
            return Features(pooled, prefix, pyramid=pyramid)
        tokens, coords, valid, grid = self._tokens(found, b, slices)
        return Features(pooled, prefix, tokens, coords, valid, grid, pyramid)

    def _cut(self, view: View) -> tuple[View, int, Tensor | None]:
        """Slices as a batch of `B * slices` views, and which of them hold anything valid."""
        start = min(self.every // 2, view.x.shape[2 + self.axis] - 1)
        pick = slice(start, None, self.every)
        x = view.x.movedim(2 + self.axis, 1)[:, pick]
        slices = x.shape[1]
        valid = None if view.valid is None else view.valid.movedim(1 + self.axis, 1)[:, pick]
        spacing = None
        if view.spacing is not None:
            keep = [a for a in range(view.spacing.shape[1]) if a != self.axis]
            spacing = torch.stack([view.spacing[:, a] for a in keep], dim=1).repeat_interleave(slices, dim=0)
        channel_valid = view.channel_valid
        inner = View(
            x=x.flatten(0, 1),
            valid=None if valid is None else valid.flatten(0, 1),
            channel_valid=None if channel_valid is None else channel_valid.repeat_interleave(slices, dim=0),
            channels=view.channels,
            role=view.role,
            spacing=spacing,
            part=view.part,
        )
        return inner, slices, None if valid is None else valid.flatten(2).any(-1)

    def _stack(self, x: Tensor, b: int, slices: int, first: int) -> Tensor:
        """`[B * slices, ...]` back to `[B, ...]` with the slices' axis where it was; spatial axes start at `first`."""
        return x.unflatten(0, (b, slices)).movedim(1, first + self.axis)

    def _tokens(
        self, found: Features, b: int, slices: int
    ) -> tuple[Tensor, Tensor, Tensor | None, tuple[int, ...] | None]:
        """Tokens of all slices in row-major order, with the slice as one more coordinate."""
        assert found.tokens is not None and found.coords is not None
        n = found.tokens.shape[1]
        grid = found.grid
        along = (torch.arange(slices, device=found.coords.device, dtype=found.coords.dtype) + 0.5) / slices
        place = along.view(1, slices, 1, 1).expand(b, slices, n, 1)
        inner = found.coords.unflatten(0, (b, slices))
        coords = torch.cat([inner[..., : self.axis], place, inner[..., self.axis :]], dim=-1)
        parts = [found.tokens, coords.flatten(0, 1), None if found.valid is None else found.valid[..., None]]
        if grid is None:
            made = [None if p is None else p.unflatten(0, (b, slices)).flatten(1, 2) for p in parts]
            whole = None
        else:
            spatial = len(grid) + 1
            made = [
                None if p is None else self._stack(p.unflatten(1, grid), b, slices, 1).flatten(1, spatial)
                for p in parts
            ]
            whole = (*grid[: self.axis], slices, *grid[self.axis :])
        tokens, coords_out, valid = made
        assert tokens is not None and coords_out is not None
        return tokens, coords_out, None if valid is None else valid[..., 0], whole


def slice_backbone(
    layout: Layout,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    *,
    model: str,
    build: Build,
    time: bool = False,
    every: int = 1,
    **settings: Any,
) -> SliceBackbone:
    """Build a net of one rank less and run it over slices.

    Args:
        layout: of the input, a grid of rank 2 or 3.
        channels: channel names.
        size: cells of a view.
        patch: cells of a token; the slices' axis is left out.
        model: name of the inner backbone.
        build: builds it.
        time: slice along the axis T (`frames:`) rather than the first (`slices:`).
        every: of `SliceBackbone`.
        **settings: of the inner backbone.

    Raises:
        ConfigError: the layout has no such axis or too low a rank.
    """
    word = "frames" if time else "slices"
    if layout.points or layout.rank < 2 or (time and "T" not in layout.spatial):
        need = "an axis T" if time else "a grid of rank 2 or 3"
        raise ConfigError(f"backbone {word}:{model} needs {need}, the layout is {layout.axes!r}")
    axis = layout.spatial.index("T") if time else 0
    left = [a for i, a in enumerate(layout.spatial) if i != axis]
    inner = build(
        model,
        dataclasses.replace(layout, axes=" ".join(["C", *left])),
        channels,
        tuple(n for i, n in enumerate(size) if i != axis),
        tuple(n for i, n in enumerate(patch) if i != axis),
        **settings,
    )
    return SliceBackbone(inner, axis, every)
