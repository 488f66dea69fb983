"""Storage order to the platform's axes and back.

World coordinates are RAS+ millimetres (x to the patient's right, y to the front, z to the head), as in NIfTI. DICOM,
ITK and most NRRD files use LPS+ (x to the left, y to the back); `lps_to_ras` turns their affines round.

The normalised grid has axes D, H, W with indices growing towards **superior, anterior, right**: a canonical RAS array
transposed. Oblique volumes are not rotated: their axes are permuted and flipped to the nearest anatomical ones and the
remaining rotation stays in the affine, so predictions go back exactly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ssl_platform.errors import Unreadable

# World axis that D, H and W lie closest to: z, y, x.
_WORLD_OF_AXIS = (2, 1, 0)
_SIGN_OF_CODE = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def lps_to_ras(affine: np.ndarray) -> np.ndarray:
    """A voxel-to-world affine `[4, 4]` from LPS+ to RAS+ world coordinates."""
    return LPS_TO_RAS @ affine


def voxel_spacing(affine: np.ndarray) -> np.ndarray:
    """Distance in mm between voxel centres along each of the three index axes, `[3]`."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def shear_degrees(affine: np.ndarray) -> float:
    """How far the index axes are from right angles, in degrees (0 for every rotation, flip and scaling)."""
    directions = affine[:3, :3] / voxel_spacing(affine)
    cosines = np.abs(directions.T @ directions)[np.triu_indices(3, 1)]
    return float(np.degrees(np.arcsin(min(1.0, cosines.max()))))


def check_affine(affine: np.ndarray, max_shear: float = 5.0) -> None:
    """Refuse an affine that cannot place voxels.

    Raises:
        Unreadable: a value is not finite, a spacing is zero, axes coincide or are sheared by over `max_shear` degrees.
    """
    if not np.isfinite(affine).all():
        raise Unreadable("the affine has values that are not finite: repair the header")
    spacing = voxel_spacing(affine)
    if (spacing < 1e-6).any():
        raise Unreadable(f"zero voxel spacing ({_by(spacing)} mm): repair the header")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise Unreadable("the affine is singular (two axes coincide): repair the header")
    shear = shear_degrees(affine)
    if shear > max_shear:
        raise Unreadable(f"axes are sheared by {shear:.1f} degrees: resample the volume on an orthogonal grid")


@dataclass(frozen=True)
class Orientation:
    """How storage axes i, j, k become D, H, W.

    Attributes:
        axes: the storage axis that becomes D, H and W.
        flips: whether that axis is reversed.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def shape(self, source: tuple[int, ...]) -> tuple[int, int, int]:
        """Sizes along D, H, W of a volume with storage sizes `source`."""
        d, h, w = (source[axis] for axis in self.axes)
        return d, h, w

    def apply(self, volume: np.ndarray) -> np.ndarray:
        """`[..., i, j, k]` in storage order to `[..., D, H, W]` (a view, no copy)."""
        lead = volume.ndim - 3
        turned = volume.transpose(*range(lead), *(lead + axis for axis in self.axes))
        return turned[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]

    def invert(self, volume: np.ndarray) -> np.ndarray:
        """`[..., D, H, W]` back to storage order `[..., i, j, k]` (a view, no copy)."""
        lead = volume.ndim - 3
        turned = volume[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]
        return turned.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(self.axes)))

    def affine(self, affine: np.ndarray, source: tuple[int, ...]) -> np.ndarray:
        """The affine `[4, 4]` that maps D, H, W indices to the same world points as `affine` maps storage indices."""
        step = np.zeros((4, 4))
        step[3, 3] = 1.0
        for new, (old, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            step[old, new] = -1.0 if flip else 1.0
            step[old, 3] = source[old] - 1 if flip else 0.0
        return np.asarray(affine @ step)


def orientation_of(affine: np.ndarray) -> Orientation:
    """The permutation and flips that bring storage axes closest to superior, anterior, right.

    All six permutations are compared by how much of each axis lies along its anatomical direction; on a tie (axes
    turned by exactly 45 degrees) the earliest permutation wins, so the choice is stable.
    """
    directions = affine[:3, :3] / voxel_spacing(affine)
    best = max(
        itertools.permutations(range(3)),
        key=lambda axes: round(sum(abs(directions[w, a]) for w, a in zip(_WORLD_OF_AXIS, axes, strict=True)), 9),
    )
    flips = tuple(bool(directions[w, a] < 0) for w, a in zip(_WORLD_OF_AXIS, best, strict=True))
    return Orientation((best[0], best[1], best[2]), (flips[0], flips[1], flips[2]))


def affine_of_codes(codes: str, spacing: tuple[float, ...]) -> np.ndarray:
    """The affine of an array whose storage axes point towards `codes`, e.g. `SAR` or `SPL`.

    Args:
        codes: three letters, one each of R/L, A/P and S/I: the direction in which each index grows.
        spacing: mm along each storage axis.

    Raises:
        ValueError: the letters do not name three different axes.
    """
    found = [_SIGN_OF_CODE.get(code) for code in codes.upper()]
    if len(found) != 3 or None in found or len({pair[0] for pair in found if pair}) != 3:
        raise ValueError(f"{codes!r} does not name three axes: write one each of R/L, A/P, S/I, such as SAR")
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for axis, pair in enumerate(found):
        if pair:
            affine[pair[0], axis] = pair[1] * spacing[axis]
    return affine


def codes_of(affine: np.ndarray) -> str:
    """Directions in which the storage indices grow, e.g. `LPS`; the nearest ones for an oblique volume."""
    orientation = orientation_of(affine)
    letters = [""] * 3
    for axis, flip, pair in zip(orientation.axes, orientation.flips, ("SI", "AP", "RL"), strict=True):
        letters[axis] = pair[1] if flip else pair[0]
    return "".join(letters)


def _by(values: np.ndarray) -> str:
    return " x ".join(f"{value:g}" for value in values)
