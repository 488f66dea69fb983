"""Where clips lie: related ones for methods that compare moments or speeds, and the views of a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ssl_platform.errors import DataError
from ssl_platform.plan import Reads
from ssl_platform.types import Row, Window
from ssl_platform_video.header import Header


def at_other_times(row: Row, first: Window, reads: Reads, uniforms: np.ndarray) -> list[tuple[Row, Window]]:
    """The first window and others of the same place in the frame, at least `reads.gap` seconds from it.

    Without a gap the others begin where the first has ended, or before it began. Where the video is too short for the
    gap, the moment furthest away is taken.

    Args:
        row: the item.
        first: a window of it.
        reads: how many, and the gap in s.
        uniforms: `[reads.count, S + 2]` in `[0, 1)`; the first number of each further row decides.
    """
    low, high = min(0, row.shape[0] - first.size[0]), max(0, row.shape[0] - first.size[0])
    gap = first.size[0] if reads.gap is None else int(np.ceil(reads.gap / row.spacing[0] - 1e-9))
    starts = np.arange(low, high + 1)
    far = starts[np.abs(starts - first.start[0]) >= gap]
    if not len(far):
        distance = np.abs(starts - first.start[0])
        far = starts[distance == distance.max()]
    chosen = [int(far[int(u[0] * len(far))]) for u in uniforms[1 : reads.count]]
    return [(row, first), *((row, replace(first, start=(start, *first.start[1:]))) for start in chosen)]


def at_other_speeds(
    row: Row, first: Window, speeds: Sequence[float], reads: Reads, uniforms: np.ndarray
) -> list[tuple[Row, Window]]:
    """The first window at its own speed, the others played faster, centred on the same moment.

    A faster read is a window of the same number of frames in a row whose frames lie further apart: its spacing along
    time says how fast it plays.

    Args:
        row: the item.
        first: a window of it.
        speeds: factors to draw from.
        reads: how many.
        uniforms: `[reads.count, S + 2]` in `[0, 1)`; the first number of each further row decides.
    """
    found = [(row, first)]
    middle = first.start[0] + first.size[0] / 2
    for u in uniforms[1 : reads.count]:
        speed = float(speeds[int(u[0] * len(speeds))])
        faster = sped_up(row, speed)
        low, high = sorted((0, faster.shape[0] - first.size[0]))
        start = int(np.clip(round(middle / speed - first.size[0] / 2), low, high))
        found.append((faster, replace(first, start=(start, *first.start[1:]))))
    return found


def sped_up(row: Row, speed: float) -> Row:
    """The row with frames `speed` times as far apart."""
    steps = max(1, round(row.shape[0] / speed))
    return row.replace(shape=(steps, *row.shape[1:]), spacing=(row.spacing[0] * speed, *row.spacing[1:]))


def check_fits(row: Row, size: Sequence[int]) -> None:
    """Refuse windows that are larger than the scaled frames although the video has the pixels.

    Raises:
        DataError: names the key to raise.
    """
    own = min(Header.of(row.meta).shown)
    if min(size[1:]) > min(row.shape[1:]) and min(row.shape[1:]) < own:
        raise DataError(
            f"windows of {size[1]}x{size[2]} pixels are larger than frames scaled to a short side of "
            f"{min(row.shape[1:])}: set data.short_side={min(size[1:])} or more (or native)"
        )


def multi_clip_windows(row: Row, size: Sequence[int], clips: int = 5, crops: int = 3) -> list[Window]:
    """The views action recognition is tested with: `clips` moments times `crops` places along the longer side.

    Moments are equally spaced over the video, crops from one edge to the other; the shorter side is cut in its middle
    (Wang et al., Non-local Neural Networks, CVPR 2018, use 10 x 3; VideoMAE 5 x 3 on Kinetics, 2 x 3 on
    Something-Something). Predictions are averaged over them.

    Args:
        row: the item.
        size: frames, height and width of a clip.
        clips, crops: how many.
    """
    slack = [n - s for n, s in zip(row.shape, size, strict=True)]
    longer = 1 if slack[1] > slack[2] else 2
    found = []
    for t in _spread(slack[0], clips):
        for place in _spread(slack[longer], crops):
            start = [t, slack[1] // 2, slack[2] // 2]
            start[longer] = place
            found.append(Window(tuple(start), tuple(size)))
    return found


def _spread(slack: int, count: int) -> list[int]:
    if count == 1 or slack <= 0:
        return [slack // 2] * (1 if slack <= 0 else count)
    return [round(i * slack / (count - 1)) for i in range(count)]
