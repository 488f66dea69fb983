"""A vocabulary of local features that renews itself, and the local features themselves at several levels of a net."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Queue
from ssl_platform.nn.constant import row
from ssl_platform.types import Features, View

KEPT = 3  # cells an axis must keep when its two border cells are cut


class Vocabulary(Queue):
    """The newest local features as words, first in first out.

    Args:
        words: K.
        dim: width C of a feature.

    Attributes:
        nearest: moving average of the squared distance from a feature to its nearest word; a buffer.
    """

    nearest: Tensor

    def __init__(self, words: int, dim: int) -> None:
        super().__init__(words, dim)
        self.register_buffer("nearest", torch.ones(()))


@dataclass(frozen=True)
class Level:
    """Local features at one level of a net.

    Attributes:
        features: `[B, N, C]`.
        position: `[B or 1, N, S]` in units of a cell (of a token's size for sets).
        valid: `[B, N]` bool, which may be assigned and become words: what is real and not at a map's border.
    """

    features: Tensor
    position: Tensor
    valid: Tensor

    def words(self, key: Tensor) -> Tensor:
        """`[B, C]` means of the valid features around one random place a sample (3 cells wide on grids).

        Args:
            key: `[B, N]` uniform random numbers; the valid place with the largest is chosen.
        """
        chosen = key.masked_fill(~self.valid, -1.0).argmax(dim=1)
        position = self.position.expand(len(key), -1, -1)
        centre = position.gather(1, chosen[:, None, None].expand(-1, 1, position.shape[-1]))
        near = ((position - centre).abs().amax(dim=-1) < 1.01) & self.valid
        weight = near.to(self.features.dtype)
        total = (weight[:, None] @ self.features)[:, 0]
        return total / weight.sum(dim=1, keepdim=True).clamp_min(1)


def levels_of(features: Features, view: View, count: int) -> list[Level]:
    """The last levels of a pyramid, coarsest last; the tokens alone where there is none (point sets).

    Args:
        features: of a whole view.
        view: what it was, for the validity of finer maps.
        count: most levels.
    """
    if features.pyramid:
        return [_of_map(feature, view.valid) for feature, _ in features.pyramid[-count:]]
    assert features.tokens is not None and features.coords is not None
    b, n = features.tokens.shape[:2]
    valid = torch.ones(b, n, dtype=torch.bool, device=features.tokens.device)
    position = features.coords.float() * n ** (1.0 / features.coords.shape[-1])
    return [Level(features.tokens, position, valid if features.valid is None else features.valid)]


def _of_map(feature: Tensor, valid: Tensor | None) -> Level:
    """A level from `[B, C, *grid]`, of a view whose `[B, *size]` cells are valid."""
    grid, device = feature.shape[2:], feature.device
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float32, device=device) for n in grid], indexing="ij")
    position = torch.stack(axes, dim=-1).flatten(0, -2)[None]  # [1, N, S]
    cut = row([1 if n >= KEPT + 2 else 0 for n in grid], torch.float32, device)
    last = row([n - 1 for n in grid], torch.float32, device)
    inner = ((position >= cut) & (position <= last - cut)).all(dim=-1).expand(len(feature), -1)
    if valid is not None:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[len(grid) - 1]
        inner = inner & (pool(valid[:, None].float(), tuple(grid)).flatten(1) > 0)
    return Level(feature.flatten(2).transpose(1, 2), position, inner)


@torch.no_grad()
def level_dims(backbone: Backbone, count: int) -> list[int]:
    """Widths C of what `levels_of` gives for this backbone."""
    if "pyramid" not in backbone.offers:
        return [backbone.embed_dim]
    assert backbone.spec is not None
    spec, like, training = backbone.spec, next(backbone.parameters()), backbone.training
    x = torch.zeros(1, len(spec.channels), *spec.size, dtype=like.dtype, device=like.device)
    maps = backbone.eval()(View(x, channels=spec.channels)).pyramid
    backbone.train(training)
    return [feature.shape[1] for feature, _ in maps[-count:]]
