"""Boxes around cells of a grid of any rank: `[2, S]` first and last edges, in cells of a view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def component(inside: np.ndarray, seed: int) -> np.ndarray:
    """The part of a `[*grid]` bool map that is joined to the cell number `seed`, through faces of cells."""
    from scipy import ndimage

    numbers, _ = ndimage.label(inside)
    return np.asarray(numbers == numbers.reshape(-1)[seed]) & inside


def box_of(inside: np.ndarray, cell: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """The box around the true cells of a grid.

    Args:
        inside: `[*grid]` bool, true somewhere.
        cell: cells of the view that a cell of the grid covers along each axis.
        size: cells of the view; the box ends there although the last cells of the grid may reach beyond.
    """
    found = np.argwhere(inside)
    edges = np.stack([found.min(axis=0), found.max(axis=0) + 1]) * np.asarray(cell)
    return np.asarray(np.minimum(edges, np.asarray(size)))


def object_boxes(classes: np.ndarray, objects: Sequence[int]) -> list[np.ndarray]:
    """The boxes around the joined parts of each class of a `[*size]` label map.

    Args:
        classes: by number.
        objects: the classes that are objects.
    """
    from scipy import ndimage

    found = []
    for number in objects:
        parts, _ = ndimage.label(classes == number)
        places = ndimage.find_objects(parts)
        found += [np.array([[s.start for s in place], [s.stop for s in place]]) for place in places]
    return found


def centre_box(size: Sequence[int]) -> np.ndarray:
    """The middle half of a view along each axis: what a guess without a look gives."""
    whole = np.asarray(size)
    return np.stack([whole / 4, whole * 3 / 4])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    both = np.prod(np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0, None))
    either = np.prod(a[1] - a[0]) + np.prod(b[1] - b[0]) - both
    return float(both / either) if either > 0 else 0.0
