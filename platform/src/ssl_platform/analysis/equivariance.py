"""What exact moves of the grid (reversals, quarter turns) do to the output and to its map of tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from torch import Tensor

from ssl_platform.analysis.invariance import FEWEST
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.measures import Concordance, concordance
from ssl_platform.types import Features, Layout
from ssl_platform.views.moves import Move
from ssl_platform.views.symmetry import axes, planes

_FOLDS = 4
_PENALTIES = np.logspace(-3, 5, 17)


def unfit(subject: Subject) -> str | None:
    """Why there is nothing to move."""
    if subject.opened.data.domain.layout.points:
        return "point sets lie on no grid that could be moved exactly"
    return None if moves_of(subject) else "the layout names no reversal or quarter turn that fits the window"


def moves_of(subject: Subject) -> dict[str, Move]:
    """Moves that keep the window's shape, by name; `(symmetry)` says that they keep the meaning too."""
    layout = subject.opened.data.domain.layout
    found: dict[str, Move] = {}
    for names, note in ((layout.symmetries, " (symmetry)"), (layout.moves, "")):
        own = replace(layout, symmetries=names)
        for text, move in _named(own).items():
            if move.fits(subject.opened.window) and move not in found.values():
                found[text + note] = move
    return found


def _named(layout: Layout) -> dict[str, Move]:
    rank, letters = layout.rank, layout.spatial
    flips = {f"flip:{letters[a]}": Move.flip(rank, a) for a in axes(layout, "flip")}
    turns = {f"rot90:{letters[a]}{letters[b]}": Move.quarter(rank, a, b) for a, b in planes(layout, "rot90")}
    return {**flips, **turns}


def move(subject: Subject) -> list[Reading]:
    """Three numbers a move, of items whose moved axes have equal spacing.

    `invariance` is the concordance of the output before and after, `linear` the share of variance of the output after
    the move that a ridge regression tells from the output before, on items left out (Lenc, Vedaldi, 2015), and `dense`
    the concordance of the moved map of tokens with the map of the moved view.
    """
    moves = moves_of(subject)
    before: dict[str, list[Tensor]] = {name: [] for name in moves}
    after: dict[str, list[Tensor]] = {name: [] for name in moves}
    dense: dict[str, Concordance] = {}
    for _, view in subject.views(subject.transformed_rows(), "moved views"):
        features = subject.encoder(view)
        still = features.pooled.float().cpu()
        for name, step in moves.items():
            exact = step.exact(view)
            kept = torch.ones(len(view), dtype=torch.bool) if exact is None else exact.cpu()
            if not kept.any():
                continue
            moved = subject.encoder(step(view))
            before[name].append(still[kept])
            after[name].append(moved.pooled.float().cpu()[kept])
            if (pair := _maps(features, moved, step, kept)) is not None:
                dense.setdefault(name, Concordance()).add(*pair)
    found = []
    for name in moves:
        if not before[name]:
            continue
        a, b = torch.cat(before[name]), torch.cat(after[name])
        found.append(Reading.of("invariance", "move", name, float(concordance(a, b))))
        found.append(Reading.of("linear", "move", name, linear(a, b)))
        if name in dense:
            found.append(Reading.of("dense", "move", name, float(dense[name].value())))
    return found


def linear(before: Tensor, after: Tensor) -> float:
    """Share of variance of `after [n, D]` that a linear map of `before [n, D]` tells on items left out.

    Returns:
        At most 1; nan for fewer than `FEWEST` items or a constant output.
    """
    x, y = before.double().numpy(), after.double().numpy()
    spread = float(((y - y.mean(axis=0)) ** 2).sum())
    if len(x) < FEWEST or spread == 0:
        return float("nan")
    scale = x.std() or 1.0
    guess = cross_val_predict(RidgeCV(_PENALTIES), x / scale, y, cv=KFold(_FOLDS, shuffle=True, random_state=0))
    return 1 - float(((y - guess) ** 2).sum()) / spread


def _maps(still: Features, moved: Features, step: Move, kept: Tensor) -> tuple[Tensor, Tensor] | None:
    """`[M, D]` tokens of the moved map and of the map of the moved view, valid in both."""
    if still.tokens is None or moved.tokens is None or still.grid is None or not step.fits(still.grid):
        return None
    grid = still.grid

    def cells(tokens: Tensor) -> Tensor:
        return step.values(tokens.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)

    expected, found = cells(still.tokens.float()), moved.tokens.float()
    valid = torch.ones(found.shape[:2], dtype=torch.bool, device=found.device)
    if still.valid is not None:
        valid = valid & cells(still.valid[..., None].float())[..., 0].bool()
    if moved.valid is not None:
        valid = valid & moved.valid
    valid = valid & kept.to(valid.device)[:, None]
    return expected[valid], found[valid]
