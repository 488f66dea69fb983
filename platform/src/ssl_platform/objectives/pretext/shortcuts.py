"""What keeps a pretext from being solved by trivial cues: brightness, colour fringes, the traces of a lens."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import View
from ssl_platform.views.noise import normal_field
from ssl_platform.views.tiles import moments

_LEAST = 1e-3  # of the whole view's deviation: a flatter tile is not stretched further


def levelled(tiles: View, whole: View, *, deviation: bool = True) -> View:
    """Tiles with the mean (and deviation) of the view they were cut from, channel by channel, all alike.

    Args:
        tiles: `B * T` boxes of `whole`.
        whole: the view of B samples.
        deviation: whether the deviation is levelled too.
    """
    count = len(tiles) // len(whole)
    level, spread = (value.repeat_interleave(count, dim=0) for value in moments(whole))
    mean, std = moments(tiles)
    x = tiles.x - mean
    if deviation:
        x = x * (spread / std.clamp_min(_LEAST * spread).clamp_min(torch.finfo(std.dtype).tiny))
    return tiles.replace(x=x + level)


def greyed(view: View, where: Tensor) -> View:
    """Every channel shows the mean of all channels, in its own units, in the samples named by `where` (`[B]` bool).

    The mean is over channels of mean 0 and deviation 1, so that none outweighs the others.
    """
    if view.x.shape[1] < 2:
        return view
    mean, std = moments(view)
    unit = (view.x - mean) / torch.where(std > 0, std, torch.ones_like(std))
    if view.channel_valid is not None:
        real = view.channel_valid.view(*view.channel_valid.shape, *(1 for _ in view.x.shape[2:]))
        zero = torch.zeros((), dtype=unit.dtype, device=unit.device)
        grey = torch.where(real, unit, zero).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp_min(1)
    else:
        grey = unit.mean(1, keepdim=True)
    return view.replace(x=torch.where(where.view(-1, *(1 for _ in view.x.shape[1:])), mean + std * grey, view.x))


def one_channel(tiles: View, whole: View, draws: Draws, noise: float) -> View:
    """One channel of each tile is left; the others hold their view's mean and a little noise.

    Args:
        tiles: `B * T` boxes of `whole`.
        whole: the view of B samples; deviations are in its units.
        draws: the samples' streams.
        noise: deviation of the noise over that of the channel that is left.
    """
    channels = tiles.x.shape[1]
    if channels < 2:
        return tiles
    count = len(tiles) // len(whole)
    kept = _kept_channel(tiles, draws.uniform("channel", count, channels).flatten(0, 1))
    level, spread = (value.repeat_interleave(count, dim=0) for value in moments(whole))
    _, std = moments(tiles)
    relative = (std / torch.where(spread > 0, spread, torch.ones_like(spread)) * kept).sum(1, keepdim=True)
    field = normal_field(draws, "noise", tiles.x[0].numel() * count).reshape(tiles.x.shape).to(tiles.x.dtype)
    return tiles.replace(x=torch.where(kept, tiles.x, level + noise * relative * spread * field))


def _kept_channel(tiles: View, score: Tensor) -> Tensor:
    """`[B * T, C, *1]` bool, one channel of each tile, an existing one where there is any."""
    if tiles.channel_valid is not None:
        score = score + tiles.channel_valid
    kept = torch.zeros_like(score, dtype=torch.bool).scatter_(1, score.argmax(1, keepdim=True), True)
    return kept.view(*kept.shape, *(1 for _ in tiles.x.shape[2:]))


def projected(view: View, direction: Tensor) -> View:
    """The view less its part along a direction of channel space: `x - a (a . x) / (a . a)`.

    Args:
        view: x `[B, C, *size]`.
        direction: `[C]`, e.g. `(-1, 2, -1)` for the green-magenta fringes of a lens.
    """
    a = (direction / direction.norm()).to(view.x.dtype)
    along = torch.einsum("c,bc...->b...", a, view.x)
    return view.replace(x=view.x - a.view(-1, *(1 for _ in view.x.shape[2:])) * along[:, None])
