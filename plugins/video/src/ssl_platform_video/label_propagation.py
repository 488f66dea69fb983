"""Label propagation as a protocol: what is marked in a first frame is followed through its video by frozen features.

Nothing is learnt. Masks are scored by J and F (DAVIS), points by PCK (JHMDB), each beside what a still scene gives: the
first frame's masks and points left where they are.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.progress import Bar
from ssl_platform.encoder import Encoder
from ssl_platform.errors import ConfigError, RunFailed, Unreadable
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.transfer.protocols.answer import Answer, Budget, mean_of_column
from ssl_platform.types import Row, Window
from ssl_platform_video.annotations import Points, Source, body_sizes, is_points, read_points
from ssl_platform_video.domain import Video
from ssl_platform_video.follow import follow_masks, follow_points
from ssl_platform_video.propagation import Propagation
from ssl_platform_video.tracking import j_and_f, pck

STILL = "_still"
SIDE = 256
"""Pixels of the short side that frames are looked at with, at least (Jabri et al., 2020)."""
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
    domain = looking(data.domain, opened.config)
    found: list[dict[str, float]] = []
    kept: list[int] = []
    with Bar(f"label propagation, frames of {domain.options.short_side} pixels", sys.stderr) as bar:
        for done, entry in enumerate(entries.tolist()):
            row = data.catalog.row(int(facts.row[entry]))
            try:
                found.append(_figures(opened, domain, encoder, row, Path(facts.mask[entry]), settings))
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
        {**asdict(settings), "frame_size": domain.options.short_side},
        {name: mean_of_column(at) for at, name in enumerate(columns)},
        columns,
    )


def looking(domain: Video, config: RunConfig) -> Video:
    """The domain with frames of `probe.frame_size`.

    `auto` is `data.short_side` where that was asked for, else 256 pixels or what the encoder was trained at if that is
    more: an encoder of small windows has few cells in a frame of their size, and labels are no finer than cells.
    """
    asked: Any = config.probe.frame_size
    trained = domain.options.short_side
    if asked == "auto":
        small = isinstance(trained, int) and trained < SIDE and not config.given("data.short_side")
        asked = SIDE if small else trained
        config.resolve("probe.frame_size", asked, "the encoder's cells are large" if small else "data.short_side")
    if asked == trained:
        return domain
    # Frames of this size are looked at once: they are not kept.
    found = Video(domain.options.model_copy(update={"short_side": asked, "decoded": "none"}))
    found.cache = domain.cache
    return found


def clip_length(opened: Opened, encoder: Encoder) -> int:
    """Frames of the still clip that shows one frame to an encoder: one step of its tokens along time.

    A net that does not take parts of its input gets as many as it was built for.
    """
    return int(encoder.record.backbone.patch[0]) if "drop" in encoder.model.offers else opened.window[0]


def _figures(
    opened: Opened, domain: Video, encoder: Encoder, row: Row, path: Path, settings: Propagation
) -> dict[str, float]:
    """What is measured of one video in its own pixels, by name; `NAME_still` where nothing is moved.

    Raises:
        Unreadable: video or labels cannot be read, or nothing is marked in the first frame.
    """
    ignore, row = opened.config.labels.ignore, domain.fit(row)
    frames = domain.read(row, Window((0, 0, 0), tuple(row.shape)))["main"].data.transpose(1, 2, 3, 0)
    row = row.replace(shape=(len(frames), *Source.of(row).shown))
    words: dict[str, Any] = {
        "clip": clip_length(opened, encoder),
        "patch": tuple(encoder.record.backbone.patch)[1:],
        "channels": encoder.record.contract.channels,
        "settings": settings,
    }
    if is_points(path):
        points = read_points(row, domain.mask_file(path))
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
