"""Arrays as PNG files, with the standard library alone (PNG specification, third edition, W3C 2025)."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # samples a pixel: grey, grey with alpha, colour, colour with alpha


def png(picture: np.ndarray) -> bytes:
    """A PNG file.

    Args:
        picture: `[H, W]` grey, or `[H, W, 1..4]` grey, grey with alpha, colour, colour with alpha; uint8.

    Raises:
        ValueError: another shape or type.
    """
    pixels = picture[..., None] if picture.ndim == 2 else picture
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in _COLOUR_TYPE or not pixels.size:
        raise ValueError(f"a picture is [H, W] or [H, W, 1..4] uint8, got {picture.dtype} {list(picture.shape)}")
    height, width, samples = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[samples], 0, 0, 0)
    # Each line takes the filter with the smallest sum of absolute differences, as the specification advises.
    lines = _filtered(pixels.reshape(height, width * samples), samples)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + _chunk(b"IEND", b"")
    return _SIGNATURE + body


def _filtered(lines: np.ndarray, samples: int) -> np.ndarray:
    """`[H, 1 + bytes]`: filter type and filtered bytes of each line (none, sub, up, average or Paeth)."""
    now = lines.astype(np.int16)
    left, above, corner = np.zeros_like(now), np.zeros_like(now), np.zeros_like(now)
    left[:, samples:] = now[:, :-samples]
    above[1:] = now[:-1]
    corner[1:, samples:] = now[:-1, :-samples]
    guess = left + above - corner
    near_left, near_above, near_corner = np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)
    paeth = np.where(
        (near_left <= near_above) & (near_left <= near_corner), left, np.where(near_above <= near_corner, above, corner)
    )
    predicted = np.stack([np.zeros_like(now), left, above, (left + above) // 2, paeth])
    residual = (now[None] - predicted).astype(np.uint8)
    cost = np.abs(residual.astype(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    chosen = residual[best, np.arange(len(lines))]
    return np.concatenate([best[:, None].astype(np.uint8), chosen], axis=1)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def data_uri(picture: np.ndarray) -> str:
    """A picture as the value of `src`: takes what `png` takes."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


def thumbnail(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with its longer side at most `side` cells; smaller ones stay as they are.

    Every cell of the result is the mean of a block whose borders are rounded to whole cells.

    Args:
        picture: `[H, W]` or `[H, W, samples]` uint8.
        side: at least 1.
    """
    longest = max(picture.shape[:2])
    if longest <= side:
        return picture
    small: np.ndarray = picture.astype(np.float32)
    for axis in (0, 1):
        size = picture.shape[axis]
        count = max(1, round(size * side / longest))
        starts = np.floor(np.arange(count) * size / count).astype(np.int64)
        lengths = np.diff(np.append(starts, size))
        sums = np.add.reduceat(small, starts, axis=axis)
        small = sums / lengths.reshape([-1 if a == axis else 1 for a in range(small.ndim)])
    return np.asarray(small.round().astype(np.uint8))
