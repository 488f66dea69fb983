"""What a transformation changes in a representation, and what it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.measures.representation import wide


@torch.no_grad()
def concordance(a: Tensor, b: Tensor) -> Tensor:
    """Concordance correlation (Lin, 1989) of features, summed over dimensions.

    `1 - E|a - b|^2 / (var a + var b + |mean a - mean b|^2)`: the share of what tells items apart that the
    transformation leaves. Unlike a cosine it does not rise where all items are alike, nor with the scale.

    Args:
        a: `[n, D]` features.
        b: `[n, D]` features of the same items, transformed.

    Returns:
        Scalar in `[-1, 1]`: 1 when nothing changed, 0 when unrelated; nan where both are constant.
    """
    a, b = wide(a), wide(b)
    spread = (a - a.mean(dim=0)).square().sum() + (b - b.mean(dim=0)).square().sum()
    shift = len(a) * (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    return 1 - (a - b).square().sum() / (spread + shift)


@torch.no_grad()
def firing_invariance(
    features: Tensor, classes: Tensor | None = None, *, rate: float | None = None, top: Sequence[int] = (10, 25)
) -> Tensor:
    """Do the units that fire for an item fire for all its transformed looks? (Purushwalkam, Gupta, 2020, section 4.1,
    after Goodfellow et al., 2009.)

    A unit fires above its own threshold, which so many of all features exceed as `rate` says (or below one, whichever
    is more invariant). Its local rate is the share of a set's looks it fires for, averaged over the sets of a class
    where it fires at all.

    Args:
        features: `[sets, n, D]`, n looks at each item; published with at least 3.
        classes: `[sets]` int64, or None for one class.
        rate: how often a unit fires; None: the larger of 5 % and one over the number of classes.
        top: how many of the most invariant units of each class to average.

    Returns:
        `[len(top)]` mean local rate over classes, in `[0, 1]`: 1 is a unit that fires for all looks or none (published
        figures divide by `rate`).
    """
    sets, looks, dim = features.shape
    member = torch.zeros(sets, dtype=torch.long) if classes is None else classes
    kinds = member.unique()
    share = rate if rate is not None else (max(1 / len(kinds), 0.05) if len(kinds) > 1 else 0.05)
    values = wide(features).reshape(sets * looks, dim)
    best = values.new_zeros(len(kinds), dim)
    for signed in (values, -values):
        threshold = torch.quantile(signed, 1 - share, dim=0)
        fires = (signed >= threshold).to(values.dtype).view(sets, looks, dim)
        rates, some = fires.mean(dim=1), fires.amax(dim=1)
        for row, kind in enumerate(kinds):
            own = member == kind
            local = rates[own].sum(dim=0) / some[own].sum(dim=0).clamp_min(1)
            best[row] = torch.maximum(best[row], local)
    strongest = best.sort(dim=1, descending=True).values
    return torch.stack([strongest[:, :k].mean() for k in top])
