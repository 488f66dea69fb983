"""A source as the cache keeps it: normalised axes, spacing and values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_medical3d import foreground, intensity
from ssl_platform_medical3d.items import header_of, modality_of
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import orientation_of
from ssl_platform_medical3d.readers import reader_of
from ssl_platform_medical3d.readers.header import Header
from ssl_platform_medical3d.resample import resample_valid

if TYPE_CHECKING:
    from ssl_platform.data.prepared import Prepared

_CHANNEL_PART = "channel:"
# Two files of one item share a grid if no corner differs by more than this part of a voxel.
_SAME_GRID = 0.5


def prepare(row: Row, options: Medical3DOptions) -> Prepared:
    """Read, orient, resample and scale one item.

    Returns:
        `data` is `[C, D, H, W]`: int16 HU for CT, else float16 in [0, 1]. `facts` are the first channel's statistics
        in source units, with the `foreground` fraction. `geometry` says which way back (see `predictions`).

    Raises:
        Unreadable: damaged content, no finite or only equal values, or another shape than when it was scanned.
    """
    from ssl_platform.data.prepared import Prepared

    header, volume, valid, facts = _content(row, options)
    orientation = orientation_of(header.affine)
    steps = [new / old for new, old in zip(row.spacing, header.spacing, strict=True)]
    steps = [
        1.0 if shape == size else step for step, shape, size in zip(steps, row.shape, volume.shape[1:], strict=True)
    ]
    modality = modality_of(row, options)
    if is_ct := intensity.is_hounsfield(modality):
        volume = volume.clip(intensity.HU_LOWEST, None)  # padding must not bleed into the body when resampled
    moved = tuple(row.shape) != volume.shape[1:]
    if moved:
        volume, valid = resample_valid(volume, valid, row.shape, steps)
    elif valid is not None:
        volume = np.where(valid, volume, 0.0)
    if is_ct:
        data = intensity.hounsfield(volume)
    else:
        data = np.stack(
            [
                intensity.unit_range(
                    channel, facts if at == 0 else intensity.statistics(channel, valid, options.percentiles)
                )
                for at, channel in enumerate(volume)
            ]
        )
    cells, fraction = (None, 1.0)
    if options.foreground == "auto":
        cells, fraction = foreground.positions(data, valid, modality)
    return Prepared(
        data=np.ascontiguousarray(data),
        spacing=tuple(row.spacing),
        channels=_present(row),
        valid=valid,
        foreground=cells,
        facts={**facts, "foreground": fraction},
        geometry={
            "affine": header.affine.tolist(),
            "shape": list(header.shape),
            "axes": list(orientation.axes),
            "flips": list(orientation.flips),
            "format": header.format,
        },
    )


def verify(row: Row, options: Medical3DOptions) -> dict[str, float]:
    """Statistics of the first channel in source units; every voxel of the item is read.

    Raises:
        Unreadable: as `prepare`.
    """
    _, volume, _, facts = _content(row, options)
    if facts["low"] >= facts["high"] and not intensity.is_hounsfield(modality_of(row, options)):
        intensity.unit_range(volume[0], facts)
    return facts


def _content(row: Row, options: Medical3DOptions) -> tuple[Header, np.ndarray, np.ndarray | None, dict[str, float]]:
    """Header, values `[C, D, H, W]`, where they are finite, and statistics of the first channel.

    Raises:
        Unreadable: damaged content, no finite value, or another shape than when it was scanned.
    """
    header = header_of(row, options)
    if row.meta.get("native_shape") != "x".join(map(str, orientation_of(header.affine).shape(header.shape))):
        raise Unreadable(f"its shape is no longer {row.meta.get('native_shape')}: scan the data again")
    volume = _read(row, header, options)
    valid = intensity.finite(volume)
    return header, volume, valid, intensity.statistics(volume[0], valid, options.percentiles)


def _read(row: Row, header: Header, options: Medical3DOptions) -> np.ndarray:
    """Values `[C, D, H, W]` of the row's frame, of all frames, or of the files of its channels."""
    channels = {name: path for name, path in row.parts.items() if name.startswith(_CHANNEL_PART)}
    if not channels:
        frame = row.meta.get("frame")
        values = reader_of(header.path).read_voxels(header, None if frame is None else int(frame))
        return orientation_of(header.affine).apply(values)
    volumes = []
    for channel in row.channels:
        name = f"{_CHANNEL_PART}{channel}"
        if name not in channels:
            if options.pad_channels is not True:
                raise Unreadable(f"its channel {channel!r} is absent: data.pad_channels=true pads it")
            continue
        other = header_of(row, options, Path(channels[name]))
        check_same_grid(other, header, Path(channels[name]).name, Path(row.path).name)
        values = np.asarray(reader_of(other.path).read_voxels(other, None)[0], dtype=np.float32)
        volumes.append(orientation_of(other.affine).apply(values))
    return np.stack(volumes)


def _present(row: Row) -> tuple[str, ...]:
    """Channels that have a file; all of them where they come from one file."""
    joined = any(name.startswith(_CHANNEL_PART) for name in row.parts)
    return tuple(name for name in row.channels if not joined or f"{_CHANNEL_PART}{name}" in row.parts)


def check_same_grid(header: Header, reference: Header, name: str, reference_name: str) -> None:
    """Refuse a file whose voxels are not those of the item; the order they are stored in may differ.

    Raises:
        Unreadable: shape or affine differ; says both.
    """
    (shape, affine), (other_shape, other_affine) = _turned(header), _turned(reference)
    if shape != other_shape:
        raise Unreadable(f"{name} has shape {_by(header.shape)}, {reference_name} has {_by(reference.shape)}")
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = float(np.linalg.norm(((affine - other_affine) @ corners)[:3], axis=0).max())
    if header.spaced and reference.spaced and apart > _SAME_GRID * min(reference.spacing):
        raise Unreadable(
            f"{name} and {reference_name} have unlike affines, up to {apart:.1f} mm apart: "
            f"origin {_point(affine)} and {_point(other_affine)}, spacing {_mm(header)} and {_mm(reference)}"
        )


def _turned(header: Header) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and affine along D, H, W."""
    orientation = orientation_of(header.affine)
    return orientation.shape(header.shape), orientation.affine(header.affine, header.shape)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _point(affine: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in affine[:3, 3]) + ")"


def _mm(header: Header) -> str:
    return "x".join(f"{value:.2f}" for value in header.spacing)
