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
    return Concordance().add(a, b).value()


class Concordance:
    """The same of pairs that arrive bit by bit, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._count = 0
        self._apart, self._squares = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        self._sums: tuple[Tensor, Tensor] | None = None
        self._origin = torch.zeros(0)

    @torch.no_grad()
    def add(self, a: Tensor, b: Tensor) -> Concordance:
        """Take `[n, D]` features and those of the same items, transformed."""
        a, b = a.double().cpu(), b.double().cpu()
        if not len(a):
            return self
        if self._sums is None:  # sums about a point near the mean lose no digits
            self._origin = a.mean(dim=0)
            self._sums = torch.zeros_like(self._origin), torch.zeros_like(self._origin)
        a, b = a - self._origin, b - self._origin
        self._count += len(a)
        self._apart += (a - b).square().sum()
        self._squares += a.square().sum() + b.square().sum()
        self._sums = self._sums[0] + a.sum(dim=0), self._sums[1] + b.sum(dim=0)
        return self

    @torch.no_grad()
    def value(self) -> Tensor:
        """Scalar float64; nan where nothing was added."""
        if self._sums is None:
            return torch.tensor(torch.nan, dtype=torch.float64)
        # var a + var b + |mean a - mean b|^2 = E|a|^2 + E|b|^2 - 2 <mean a, mean b>
        spread = self._squares - 2 * (self._sums[0] @ self._sums[1]) / self._count
        tiny = torch.finfo(torch.float64).eps * self._squares
        return torch.where(spread > tiny, 1 - self._apart / spread, torch.nan)


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
