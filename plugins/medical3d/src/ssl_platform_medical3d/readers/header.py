"""What a reader tells about a volume before its voxels are read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import affine_of_codes, codes_of, orientation_of, voxel_spacing


@dataclass(frozen=True)
class Header:
    """One volume (or series of volumes on one grid) in storage order.

    Attributes:
        path: the file, or the folder of a DICOM series or Zarr store.
        format: `nifti`, `dicom`, `nrrd`, `metaimage`, `npy`, `npz` or `zarr`.
        shape: voxels along the storage axes i, j, k.
        affine: `[4, 4]` voxel centre indices to RAS+ world coordinates in mm.
        dtype: numpy name of the values as stored.
        frames: volumes in it: time points, diffusion weightings, contrasts.
        spaced: whether the file states its spacing; where it does not, `affine` has unit spacing.
        files: the files it is made of; for DICOM one a slice, sorted by frame and position.
        file_frames: for DICOM files with many frames: which frame of its file a slice is.
        series: SeriesInstanceUID, for DICOM.
        modality: `ct`, `mr`, `pt`..., or None when the file does not say.
        group: the patient, or None.
        group_rule: the rule that found the group.
        notes: rules that were applied and that a user may want to know.
        bytes: size on disk.
    """

    path: Path
    format: str
    shape: tuple[int, int, int]
    affine: np.ndarray
    dtype: str
    frames: int = 1
    spaced: bool = True
    files: tuple[Path, ...] = ()
    file_frames: tuple[int, ...] = ()
    series: str = ""
    modality: str | None = None
    group: str | None = None
    group_rule: str = "file"
    notes: tuple[str, ...] = field(default=())
    bytes: int = 0

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Spacing in mm along D, H, W of the normalised axes."""
        d, h, w = (float(voxel_spacing(self.affine)[axis]) for axis in orientation_of(self.affine).axes)
        return d, h, w

    def respaced(self, spacing: tuple[float, float, float]) -> Header:
        """The same volume with another spacing in mm along D, H, W; directions and first voxel stay."""
        affine = self.affine.copy()
        for axis, mm in zip(orientation_of(affine).axes, spacing, strict=True):
            affine[:3, axis] *= mm / voxel_spacing(self.affine)[axis]
        return replace(self, affine=affine, spaced=True)

    def directed(self, codes: str) -> Header:
        """The same array with storage axes that point towards `codes`, such as `SPL`."""
        old = dict(zip(_axis_pairs(codes_of(self.affine)), voxel_spacing(self.affine), strict=True))
        spacing = tuple(float(old[pair]) for pair in _axis_pairs(codes))
        return replace(self, affine=affine_of_codes(codes, spacing))


def _axis_pairs(codes: str) -> list[str]:
    return ["RL" if code in "RL" else "AP" if code in "AP" else "SI" for code in codes.upper()]


def volume_shape(shape: tuple[int, ...], channel_last: bool = True) -> tuple[tuple[int, int, int], int]:
    """Split a stored shape into a volume's sizes and its number of frames.

    Args:
        shape: sizes as stored; a fourth axis holds frames.
        channel_last: whether frames are the last axis rather than the first.

    Raises:
        Unreadable: fewer than three or more than four axes are longer than one, or a size is zero.
    """
    text = "x".join(map(str, shape))
    if 0 in shape:
        raise Unreadable(f"has no voxels (shape {text})")
    while len(shape) > 3 and shape[-1 if channel_last else 0] == 1:
        shape = shape[:-1] if channel_last else shape[1:]
    if len(shape) > 4:
        raise Unreadable(f"has {len(shape)} axes (shape {text}): volumes have three, or four with frames")
    space, frames = shape, 1
    if len(shape) == 4:
        frames, space = (shape[3], shape[:3]) if channel_last else (shape[0], shape[1:])
    if len(space) < 3 or min(space) == 1:
        raise Unreadable(f"a 2-D image (shape {text}) among volumes: remove it or stack its slices")
    return (space[0], space[1], space[2]), frames


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what goes wrong while reading one file into `Unreadable` with its cause in one line.

    Args:
        what: the format, for the message.
    """
    try:
        yield
    except Unreadable:
        raise
    except PermissionError:
        raise Unreadable("permission denied: make it readable (chmod u+r)") from None
    except FileNotFoundError:
        raise Unreadable("is no longer there") from None
    except (EOFError, zlib.error) as error:
        raise Unreadable(f"truncated or damaged compressed data: copy the file again ({_line(error)})") from None
    except gzip.BadGzipFile:
        raise Unreadable("not gzip data although its name says so: drop .gz from its name, or copy it again") from None
    except MemoryError:
        raise Unreadable("does not fit into memory") from None
    except Exception as error:
        raise Unreadable(f"not a readable {what} file ({_line(error)})") from None


def check_not_empty(path: Path) -> int:
    """Size of a file in bytes.

    Raises:
        Unreadable: it is empty.
    """
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("empty file (0 bytes)")
    return size


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:160]
