"""Where an encoder looks: the share of attention each token gets in the last block, on pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssl_platform.nn.backbone import Backbone
from ssl_platform.report.album import Look
from ssl_platform.report.paint import LIT, TOP, cloud, heat_on
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.seen import Seen, sample
from ssl_platform.types import View

TAP = "block.-1.attention"
_FAINT = np.array([110.0, 118.0, 130.0])


@torch.no_grad()
def attention(encoder: Backbone, view: View) -> tuple[Tensor, tuple[int, ...] | None, Tensor] | None:
    """The attention tokens get, their grid, and their coordinates; None of a net without attention.

    That of the first prefix token (class token) where there is one, else the mean over all tokens; the mean over heads.

    Args:
        encoder: in evaluation mode.
        view: clean.

    Returns:
        `[B, N]` weights that are shares of what all N tokens get, grid or None, `[B, N, S]` coordinates in [0, 1].
    """
    if not {"attention", "taps"} <= set(encoder.offers):
        return None
    found = encoder(view, taps=(TAP,))
    if TAP not in found.taps or found.coords is None:
        return None
    prefix, weights = found.prefix.shape[1], found.taps[TAP].float().mean(dim=1)
    given = weights[:, 0, prefix:] if prefix else weights.mean(dim=1)
    given = given if found.valid is None else given * found.valid
    return given / given.sum(dim=1, keepdim=True).clamp_min(1e-12), found.grid, found.coords


def looks(seen: Seen, encoder: Backbone, view: View, items: Sequence[str], side: int) -> list[Look]:
    """Input and attention of each sample of a clean view; empty where there is none to show.

    Args:
        seen: renders.
        encoder: in evaluation mode.
        view: clean.
        items: ids of the samples.
        side: cells of the longer side of a picture.
    """
    found = attention(encoder, view)
    if found is None:
        return []
    weights, grid, coords = found
    made = []
    for i, item in enumerate(items):
        x, own = sample(view, i)
        heat = weights[i].cpu().numpy()
        if seen.data.domain.layout.points:
            shown = _points(coords[i].cpu().numpy(), heat)
        elif grid is not None and math.prod(grid) == len(heat):
            spread = _spread(heat.reshape(grid), x.shape[1:])
            shown = heat_on(x, spread, lambda values, own=own: seen.render(values, own))  # type: ignore[misc]
        else:
            return []
        top = float(np.sort(heat)[::-1][: max(1, len(heat) // 10)].sum())
        made.append(Look(item, thumbnail(seen.render(x, own), side), thumbnail(shown, side), top))
    return made


def _spread(heat: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A map on tokens as one on cells: each cell has its token's value."""
    places = [np.minimum(np.arange(cells) * n // cells, n - 1) for cells, n in zip(size, heat.shape, strict=True)]
    return np.asarray(heat[np.ix_(*places)])


def _points(coords: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Centres of the groups of points, coloured by rank of attention."""
    rank = heat.argsort().argsort() / max(len(heat) - 1, 1)
    colours = _FAINT * (0.4 + 1.6 * rank[:, None])
    return cloud(coords[:, :3], np.where((rank > TOP)[:, None], LIT, colours))
