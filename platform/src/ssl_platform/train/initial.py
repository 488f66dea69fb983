"""Initial weights of a run (`--init`): what of another encoder fits, position embeddings resized to this one's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_platform.encoder import read
from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.spec import BackboneSpec

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class Initial:
    """What `--init` brought.

    Attributes:
        matched: names taken as they are.
        resized: names whose positions were interpolated, or whose registers are more or fewer.
        missing: names of this backbone the file lacks or has in another shape.
        unused: names of the file this backbone lacks.
    """

    matched: list[str]
    resized: list[str]
    missing: list[str]
    unused: list[str]

    def line(self, source: str) -> str:
        """What to print."""

        def some(names: list[str]) -> str:
            return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""

        return (
            f"init from {source}: {len(self.matched)} tensors matched, {len(self.resized)} resized"
            f"{some(self.resized)}, {len(self.missing)} missing{some(self.missing)}, {len(self.unused)} unused"
            f"{some(self.unused)}"
        )

    def every_name(self) -> list[str]:
        """A line for each outcome with all its names, for `events.log`."""
        outcomes = ("matched", "resized", "missing", "unused")
        found = {word: getattr(self, word) for word in outcomes}
        return [f"init: {word}: {', '.join(names)}" for word, names in found.items() if names]


def load_initial(backbone: Backbone, source: str) -> Initial:
    """Load the encoder of a run or file into a backbone, as far as names and shapes allow.

    Raises:
        ConfigError: nothing fits.
        EncoderError: the file cannot be read.
    """
    tensors, record, path = read(source)
    given = {name.removeprefix("encoder."): v for name, v in tensors.items() if name.startswith("encoder.")}
    own = backbone.state_dict()
    found = Initial([], [], [], [name for name in given if name not in own])
    for name, value in own.items():
        new = given.get(name)
        resized = None
        if new is not None and new.shape == value.shape:
            value.copy_(new)
            found.matched.append(name)
            continue
        if new is not None and "pos" in name and backbone.spec is not None:
            resized = _fitted(new, tuple(value.shape), record.backbone, backbone.spec)
        elif new is not None and name == "prefix" and new.shape[1:] == value.shape[1:]:
            common = min(len(new), len(value))  # class tokens come first: another number of registers keeps them
            resized = torch.cat([new[:common], value[common:]])
        if resized is None:
            found.missing.append(name)
        else:
            value.copy_(resized)
            found.resized.append(name)
    if not found.matched:
        raise ConfigError(f"--init {path}: nothing of {record.backbone.name!r} fits this backbone")
    return found


def _fitted(given: Tensor, shape: Sequence[int], before: BackboneSpec, now: BackboneSpec) -> Tensor | None:
    """Positions resized for the one patch (the record's, or a backbone's own) that explains both numbers of tokens."""
    if len(before.size) != len(now.size):
        return None
    own = [(edge,) * len(now.size) for edge in range(1, min(*before.size, *now.size) + 1)]
    for patch in (now.patch, *own):
        grids = [tuple(n // p for n, p in zip(spec.size, patch, strict=False)) for spec in (before, now)]
        resized = resize_positions(given, shape, *grids)
        if resized is not None:
            return resized
    return None


def resize_positions(given: Tensor, shape: Sequence[int], before: Sequence[int], now: Sequence[int]) -> Tensor | None:
    """A learnt position embedding on another grid, interpolated linearly along each axis; None where it is no such.

    Args:
        given: `[..., P + prod(before), D]`, row by row behind P prefix tokens, which stay as they are.
        shape: of the result, `[..., P + prod(now), D]`.
        before, now: tokens along each axis.
    """
    if not before or len(before) != len(now) or len(before) not in _MODES or given.ndim != len(shape) or given.ndim < 2:
        return None
    prefix = given.shape[-2] - math.prod(before)
    if prefix < 0 or prefix != shape[-2] - math.prod(now) or given.shape[-1] != shape[-1]:
        return None
    dim = given.shape[-1]
    flat = given.reshape(-1, given.shape[-2], dim).float()
    cells = flat[:, prefix:].transpose(1, 2).reshape(len(flat), dim, *before)
    cells = nn.functional.interpolate(cells, size=tuple(now), mode=_MODES[len(before)], align_corners=False)
    joined = nn.functional.pad(cells.flatten(2).transpose(1, 2), (0, 0, prefix, 0))
    joined[:, :prefix] = flat[:, :prefix]
    return joined.reshape(tuple(shape)).to(given.dtype)
