"""Label propagation as a protocol: what is marked in a first frame is followed through its video by frozen features.

Nothing is learnt. Masks are scored by J and F (DAVIS), points by PCK (JHMDB), each beside what a still scene gives: the
first frame's masks and points left where they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.data.progress import Bar
from ssl_platform.encoder import Encoder
from ssl_platform.errors import ConfigError, RunFailed, Unreadable
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.transfer.protocols.answer import Answer, Budget, mean_of_column
from ssl_platform.types import Row, Window
from ssl_platform_video.annotations import Points, body_sizes, is_points, read_points
from ssl_platform_video.domain import Video
from ssl_platform_video.follow import follow_masks, follow_points
from ssl_platform_video.propagation import Propagation
from ssl_platform_video.tracking import j_and_f, pck

STILL = "_still"
MASKS, POINTS = ("j_and_f", "j", "f"), ("pck@0.1", "pck@0.2")


def label_propagation(opened: Opened, encoder: Encoder, entries: np.ndarray, budget: Budget) -> Answer:
    """Figures of every video that has masks or points.

    Args:
        opened: videos; labels are folders of mask pictures or tables of points. Those that cannot be used are added to
            `opened.unread`.
        encoder: is moved to the device.
        entries: of the facts, whose videos are looked at.
        budget: nothing is drawn and nothing trained.

    Raises:
        ConfigError: the data are no videos.
        RunFailed: no video could be used.
    """
    data, facts = opened.data, opened.data.facts
    if not isinstance(data.domain, Video):
        raise ConfigError(f"--protocol label-propagation: follows objects through videos, not {data.domain.name} items")
    encoder.to(device_of(opened.config))
    own = opened.config.probe
    settings = Propagation(own.context, own.neighbours, own.radius, own.temperature)
    found: list[dict[str, float]] = []
    kept: list[int] = []
    with Bar("label propagation", sys.stderr) as bar:
        for done, entry in enumerate(entries.tolist()):
            row = data.catalog.row(int(facts.row[entry]))
            try:
                found.append(_figures(opened, encoder, row, Path(facts.mask[entry]), settings))
                kept.append(entry)
            except Unreadable as error:
                opened.unread[row.id] = error.why
            bar(done + 1, len(entries))
    if not kept:
        raise RunFailed(f"label propagation: no video can be used: {next(iter(opened.unread.values()), 'no masks')}")
    labels = {is_points(Path(path)) for path in facts.mask if path}
    names = [name for kind, names in ((False, MASKS), (True, POINTS)) if kind in labels for name in names]
    columns = tuple(name + end for name in names for end in ("", STILL))
    score = np.array([[figures.get(name, np.nan) for name in columns] for figures in found])
    return Answer(
        np.zeros(len(kept)),
        score,
        [facts.group[e] for e in kept],
        [facts.id[e] for e in kept],
        {"context": own.context, "neighbours": own.neighbours, "radius": own.radius, "temperature": own.temperature},
        {name: mean_of_column(at) for at, name in enumerate(columns)},
        columns,
    )


def _figures(opened: Opened, encoder: Encoder, row: Row, path: Path, settings: Propagation) -> dict[str, float]:
    """What is measured of one video, by name; `NAME_still` where nothing is moved.

    Raises:
        Unreadable: video or labels cannot be read, or nothing is marked in the first frame.
    """
    domain, ignore = opened.data.domain, opened.config.labels.ignore
    whole = Window((0, 0, 0), tuple(row.shape))
    frames = domain.read(row, whole)["main"].data.transpose(1, 2, 3, 0)
    words: dict[str, Any] = {
        "clip": opened.window[0],
        "patch": tuple(encoder.record.backbone.patch)[1:],
        "channels": encoder.record.contract.channels,
        "settings": settings,
    }
    if is_points(path):
        points = read_points(row, path)
        chosen = points.visible[0]
        if not chosen.any():
            raise Unreadable("no point is visible in its first frame")
        points = Points(points.names, points.places[:, chosen], points.visible[:, chosen])
        moved = follow_points(encoder.model, frames, points.places[0], **words)
        still = np.repeat(points.places[:1], len(frames), 0)
        return _scored(points, moved, row) | {f"{n}{STILL}": v for n, v in _scored(points, still, row).items()}
    assert domain.cache is not None
    masks = np.asarray(domain.cache.open_mask(row, path, domain, opened.config.labels.resample is not None).data[0])
    if not np.isin(masks[0], (0, ignore), invert=True).any():
        raise Unreadable("nothing is marked in the mask of its first frame")
    _, figures = follow_masks(encoder.model, frames, masks, ignore=ignore, **words)
    left = j_and_f(masks, np.repeat(masks[:1], len(masks), 0), ignore=ignore)
    return figures | {f"{name}{STILL}": value for name, value in left.items()}


def _scored(points: Points, found: np.ndarray, row: Row) -> dict[str, float]:
    """PCK in the pixels of the row's grid; frames with fewer than two visible points count nowhere."""
    size = body_sizes(points, row.shape[1:])
    visible = points.visible & (size > 0)[:, None]
    pixels = np.array(row.shape[1:])
    return dict(pck(np.nan_to_num(points.places) * pixels, found * pixels, visible, size))
