"""What readers return: what a file says of its clouds, and the points of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Header:
    """What a file says of each of its clouds.

    Attributes:
        format: name of the file format.
        points: points stored (for meshes: vertices).
        clouds: clouds of that many points in the file.
        fields: names of the values a point has besides x, y, z, as `fields.canonical` spells them.
        faces: triangles and polygons; 0 for clouds.
        organised: whether points lie on the grid of a depth sensor, invalid ones included.
        finite: whether the format cannot hold a NaN, so that `points` is what remains.
        unit: metres per unit along x, y and z, or None where the file does not say.
    """

    format: str
    points: int
    clouds: int = 1
    fields: tuple[str, ...] = ()
    faces: int = 0
    organised: bool = False
    finite: bool = False
    unit: tuple[float, float, float] | None = None


@dataclass
class Cloud:
    """The points of one cloud, as stored.

    Attributes:
        xyz: `[N, 3]` float64 in the file's axes and unit.
        fields: `[N]` values by name, in the file's type.
        faces: `[F, 3]` vertices of triangles for meshes, else None.
    """

    xyz: np.ndarray
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)
    faces: np.ndarray | None = None

    def select(self, rows: np.ndarray | slice) -> Cloud:
        """Some of the points."""
        return Cloud(self.xyz[rows], {name: values[rows] for name, values in self.fields.items()})
