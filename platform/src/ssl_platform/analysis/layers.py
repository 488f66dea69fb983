"""The outputs of an encoder's layers: blocks where it has taps, stages where it has a pyramid, and its own output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.validity import valid_mean
from ssl_platform.types import Features, View

OUTPUT = "output"
_POOL = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)


@dataclass(frozen=True)
class LayerOutput:
    """What one layer says of a batch.

    Attributes:
        pooled: `[B, D]`, pooled as the encoder pools its output.
        tokens: `[B, N, D]` tokens with a place, before any final norm; None where there are none.
        valid: `[B, N]` bool, or None.
        grid: of the tokens in row-major order, or None.
    """

    pooled: Tensor
    tokens: Tensor | None
    valid: Tensor | None
    grid: tuple[int, ...] | None


def taps_of(model: Backbone) -> tuple[str, ...]:
    """The taps that give every block's output."""
    return tuple(f"block.{number}" for number in range(model.depth)) if "taps" in model.offers else ()


def layer_outputs(model: Backbone, view: View, features: Features) -> dict[str, LayerOutput]:
    """Layers by name, first to last; the last is `OUTPUT`.

    Args:
        model: what the features are of.
        view: what it was given.
        features: with the taps of `taps_of`.
    """
    found: dict[str, LayerOutput] = {}
    prefix = features.prefix.shape[1]
    first = getattr(model, "pool", "mean") == "cls" and prefix > 0
    for name in taps_of(model):
        tapped = features.taps[name].float()
        tokens = tapped[:, prefix:]
        pooled = tapped[:, 0] if first else valid_mean(tokens, features.valid)
        found[name.replace(".", " ")] = LayerOutput(pooled, tokens, features.valid, features.grid)
    if not found and len(features.pyramid) > 1:
        for number, (maps, _) in enumerate(features.pyramid):
            found[f"stage {number}"] = _of_map(maps.float(), view)
    tokens_out = None if features.tokens is None else features.tokens.float()
    found[OUTPUT] = LayerOutput(features.pooled.float(), tokens_out, features.valid, features.grid)
    return found


def _of_map(maps: Tensor, view: View) -> LayerOutput:
    """A map `[B, D, *grid]`; a cell is valid where any cell of the view in it is."""
    grid = tuple(maps.shape[2:])
    tokens = maps.flatten(2).transpose(1, 2)
    valid = None
    if view.valid is not None and view.valid.ndim == len(grid) + 1:
        valid = _POOL[len(grid) - 1](view.valid[:, None].to(maps.device, torch.float32), grid).flatten(1) > 0
    return LayerOutput(valid_mean(tokens, valid), tokens, valid, grid)


def tokens_offered(model: Backbone) -> bool:
    """Whether there are tokens to look at."""
    return "tokens" in model.offers
