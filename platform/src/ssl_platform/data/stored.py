"""What arrays and masks on disk have in common, however they are stored: boxes are read, `np.asarray` reads all."""

from __future__ import annotations

from typing import Any

import numpy as np

Box = tuple[tuple[int, int], ...]
"""`(start, end)` along each spatial axis."""


class StoredArray:
    """`[C, *shape]` on disk.

    Attributes:
        shape: `(C, *shape)`.
        dtype: of the values.
        block: cells of a block along each spatial axis.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    block: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Number of axes, channels included."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return _as(self.read(tuple((0, n) for n in self.shape[1:])), dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """As of an array; all of it is read first."""
        result: np.ndarray = np.asarray(self)[key]
        return result

    def read(self, box: Box) -> np.ndarray:
        """Copy a box that lies inside: `[C, *sizes]`."""
        raise NotImplementedError


class StoredMask:
    """`[*shape]` bool on disk.

    Attributes:
        shape: spatial sizes.
        dtype: bool.
    """

    shape: tuple[int, ...]
    dtype = np.dtype(bool)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return _as(self.read(tuple((0, n) for n in self.shape)), dtype)

    def read(self, box: Box) -> np.ndarray:
        """Copy a box that lies inside: `[*sizes]`."""
        raise NotImplementedError


def _as(whole: np.ndarray, dtype: Any) -> np.ndarray:
    return whole if dtype is None else whole.astype(dtype, copy=False)
