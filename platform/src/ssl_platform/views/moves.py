"""Exact moves of a grid: quarter turns and reversals of axes, and which of them can be told from each other.

A move permutes axes and reverses some of them, so it is a bijection of the cells without any interpolation. Together
the moves of a grid form a group (of 48 for a cube, 24 of which are rotations).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssl_platform.types import Layout, View
from ssl_platform.views.symmetry import axes, planes

_EQUAL_SPACING = 1e-3


@dataclass(frozen=True, order=True)
class Move:
    """A signed permutation of the spatial axes.

    Attributes:
        order: for each axis of the result, the axis it was.
        sign: for each axis of the result, 1 or -1 where it now runs backwards.
    """

    order: tuple[int, ...]
    sign: tuple[int, ...]

    @staticmethod
    def identity(rank: int) -> Move:
        """The move that changes nothing."""
        return Move(tuple(range(rank)), (1,) * rank)

    @staticmethod
    def quarter(rank: int, a: int, b: int) -> Move:
        """A quarter turn in the plane of axes a and b: `torch.rot90(x, 1, [a, b])`."""
        order, sign = list(range(rank)), [1] * rank
        order[a], order[b], sign[a] = b, a, -1
        return Move(tuple(order), tuple(sign))

    @staticmethod
    def flip(rank: int, axis: int) -> Move:
        """The reversal of one axis."""
        return Move(tuple(range(rank)), tuple(-1 if a == axis else 1 for a in range(rank)))

    @property
    def determinant(self) -> int:
        """1 for rotations, -1 for those that turn left into right."""
        swaps = sum(a > b for a, b in itertools.combinations(self.order, 2))
        reversed_ = sum(s < 0 for s in self.sign)
        return -1 if (swaps + reversed_) % 2 else 1

    def after(self, first: Move) -> Move:
        """The move that does `first` and then this one."""
        order = tuple(first.order[a] for a in self.order)
        return Move(order, tuple(s * first.sign[a] for s, a in zip(self.sign, self.order, strict=True)))

    def inverse(self) -> Move:
        """The move that undoes this one."""
        back = tuple(self.order.index(a) for a in range(len(self.order)))
        return Move(back, tuple(self.sign[a] for a in back))

    def values(self, x: Tensor) -> Tensor:
        """Move `[B, ..., *size]`, whose last axes are spatial."""
        lead = x.ndim - len(self.order)
        x = x.permute(*range(lead), *(lead + a for a in self.order))
        backwards = [lead + a for a, s in enumerate(self.sign) if s < 0]
        return x.flip(backwards) if backwards else x

    def __call__(self, view: View) -> View:
        """The view moved; it has no geometry, for it is no crop of its source."""
        return view.replace(
            x=self.values(view.x),
            valid=None if view.valid is None else self.values(view.valid),
            spacing=None if view.spacing is None else torch.stack([view.spacing[:, a] for a in self.order], 1),
            geometry=None,
        )

    def fits(self, size: Sequence[int]) -> bool:
        """Whether a view of `size` cells keeps its shape."""
        return all(size[a] == n for a, n in zip(self.order, size, strict=True))

    def exact(self, view: View) -> Tensor | None:
        """`[B]` bool, whether the axes it exchanges have equal spacing; None where it exchanges none."""
        if view.spacing is None or self.order == tuple(range(len(self.order))):
            return None
        moved = torch.stack([view.spacing[:, a] for a in self.order], 1)
        return ((moved - view.spacing).abs() < _EQUAL_SPACING * view.spacing).all(1)


def closure(generators: Iterable[Move], rank: int) -> tuple[Move, ...]:
    """The group that some moves generate, the identity first."""
    steps, found = tuple(generators), [Move.identity(rank)]
    for move in found:  # grows while it is read
        found += [new for step in steps if (new := step.after(move)) not in found]
    return (found[0], *sorted(found[1:]))


def turns(layout: Layout, size: Sequence[int], every: bool = False) -> tuple[Move, ...]:
    """The rotations by quarters in the planes that `Layout.moves` names, or the reversals where it names no plane.

    In a plane whose sides differ in cells only the half turn is left.

    Args:
        layout: of the domain.
        size: cells of a view.
        every: in more than one plane, all rotations the quarter turns generate (24 of a cube) rather than those about
            one axis (10).
    """
    rank = layout.rank
    moves = replace(layout, symmetries=layout.moves)
    quarters = [Move.quarter(rank, a, b) for a, b in planes(moves, "rot90")]
    if not quarters:
        return (Move.identity(rank), *(Move.flip(rank, a) for a in axes(moves, "flip")))
    if every:
        found = closure(quarters, rank)
    else:
        found = (Move.identity(rank), *(m for q in quarters for m in (q, q.after(q), q.inverse())))
    return tuple(move for move in found if move.fits(size))


def told_apart(moves: Iterable[Move], layout: Layout) -> tuple[Move, ...]:
    """The moves without those that a symmetry turns into an earlier one: nobody could tell the two apart.

    Data whose symmetry s keeps its meaning looks alike moved by m and by m after s.
    """
    generators = [Move.flip(layout.rank, a) for a in axes(layout, "flip")]
    generators += [Move.quarter(layout.rank, a, b) for a, b in planes(layout, "rot90")]
    symmetric = set(closure(generators, layout.rank))
    kept: list[Move] = []
    for move in moves:
        if not any(other.inverse().after(move) in symmetric for other in kept):
            kept.append(move)
    return tuple(kept)


def chosen(view: View, moves: Sequence[Move], choice: Tensor) -> View:
    """Each sample moved by one of `moves`, all of which keep the view's shape: `choice` is `[B]` int64."""
    x, valid, spacing = view.x, view.valid, view.spacing
    for number, move in enumerate(moves):
        moved, mine = move(view), choice == number
        x = torch.where(_spread(mine, x), moved.x, x)
        valid = None if valid is None else torch.where(_spread(mine, valid), moved.valid, valid)  # type: ignore[arg-type]
        spacing = None if spacing is None else torch.where(mine[:, None], moved.spacing, spacing)  # type: ignore[arg-type]
    return view.replace(x=x, valid=valid, spacing=spacing, geometry=None)


def _spread(flag: Tensor, like: Tensor) -> Tensor:
    return flag.view(-1, *(1 for _ in like.shape[1:]))
