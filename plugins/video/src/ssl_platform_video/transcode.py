"""One-off copies at training size: small frames, many key frames, no sound, times kept; and a ledger of what failed.

Reading a clip costs decoding from the key frame before it, at full size. Web videos have one key frame in 250 frames
and often ten times the pixels that are looked at, so a copy at 256 pixels with a key frame every 16 reads about ten
times faster.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import DataError, RunFailed, SslPlatformError, Unreadable
from ssl_platform.types import Row
from ssl_platform_video.encode import write_video
from ssl_platform_video.header import Header, cause
from ssl_platform_video.readers import frames as frame_folders

LEDGER = "ledger.jsonl"
VERSION = 1


@dataclass(frozen=True)
class Settings:
    """How copies are made.

    Attributes:
        short_side: pixels of the short side; smaller videos keep theirs.
        gop: frames from one key frame to the next.
        quality: constant rate factor of x264 (lower is better and larger).
    """

    short_side: int = 256
    gop: int = 16
    quality: int = 23


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        id: of the item.
        source: its file or folder.
        fingerprint: of its content.
        settings: that it was copied with.
        output: the copy, relative to the output folder; empty where it failed.
        frames: frames in the copy.
        bytes: of the copy.
        error: why it failed; empty where it did not.
    """

    id: str
    source: str
    fingerprint: str
    settings: Mapping[str, int]
    output: str = ""
    frames: int = 0
    bytes: int = 0
    error: str = ""


def transcode(
    rows: Iterable[Row],
    folder: Path,
    settings: Settings | None = None,
    *,
    workers: int = 0,
    progress: Callable[[Entry], None] | None = None,
) -> list[Entry]:
    """Copy items to `folder` as MP4, one file each under the item's id; the folder can be given to `--data`.

    What the ledger holds already, from the same content with the same settings, is not done again; a damaged video
    costs only itself. The ledger is flushed after every item, so a killed run goes on where it stopped.

    Args:
        rows: scanned items.
        folder: gets the copies and `ledger.jsonl`.
        settings: how copies are made.
        workers: processes; 0 copies here.
        progress: called with each new entry.

    Returns:
        The entries of all items, in their order.

    Raises:
        DataError: two items would get one file.
        RunFailed: nothing can be encoded or written here, or a process was killed.
    """
    settings = settings or Settings()
    items = list(rows)
    names = _names(items)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = read_ledger(folder)
    done = {row.id: entry for row in items if (entry := _kept(ledger, row, settings, folder)) is not None}
    todo = [row for row in items if row.id not in done]
    with (folder / LEDGER).open("a", encoding="utf-8") as lines:
        for entry in _copies(todo, names, folder, settings, workers):
            done[entry.id] = entry
            lines.write(json.dumps(asdict(entry)) + "\n")
            lines.flush()
            if progress:
                progress(entry)
    return [done[row.id] for row in items]


def read_ledger(folder: Path) -> dict[str, Entry]:
    """The last entry of each item; a line that a killed run left unfinished is passed over."""
    path = folder / LEDGER
    found: dict[str, Entry] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[entry.id] = entry
    return found


def _names(rows: Iterable[Row]) -> dict[str, str]:
    """The file of each item: its id with `.mp4` for its ending.

    Raises:
        DataError: two items differ in their ending only.
    """
    names: dict[str, str] = {}
    owner: dict[str, str] = {}
    for row in rows:
        place = Path(row.id)
        if place.is_absolute() or ".." in place.parts:
            place = Path(*[part for part in place.parts if part not in ("..", place.anchor)])
        name = (
            place.with_name(place.name + ".mp4") if Header.of(row.meta).folder else place.with_suffix(".mp4")
        ).as_posix()
        if name in owner:
            raise DataError(f"{owner[name]!r} and {row.id!r} would both become {name!r}: rename one")
        names[row.id], owner[name] = name, row.id
    return names


def _kept(ledger: Mapping[str, Entry], row: Row, settings: Settings, folder: Path) -> Entry | None:
    """The entry of an item that needs nothing more."""
    entry = ledger.get(row.id)
    if entry is None or entry.fingerprint != row.fingerprint or dict(entry.settings) != _facts(settings):
        return None
    if entry.error:
        return entry
    copy = folder / entry.output
    return entry if copy.is_file() and copy.stat().st_size == entry.bytes else None


def _facts(settings: Settings) -> dict[str, int]:
    return {**asdict(settings), "version": VERSION}


def _copies(
    rows: list[Row], names: Mapping[str, str], folder: Path, settings: Settings, workers: int
) -> Iterator[Entry]:
    copy = partial(copy_item, folder=folder, settings=settings)
    outputs = [names[row.id] for row in rows]
    if workers == 0 or len(rows) < 2:
        yield from map(copy, rows, outputs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(copy, rows, outputs)
        except BrokenProcessPool:
            raise RunFailed("a process that copied videos was killed: out of memory? use fewer workers") from None


def copy_item(row: Row, output: str, folder: Path, settings: Settings) -> Entry:
    """Copy one item; what cannot be read becomes an entry with its error.

    Raises:
        RunFailed: the copy cannot be encoded or written.
    """
    entry = Entry(row.id, row.path, row.fingerprint, _facts(settings))
    path = folder / output
    path.parent.mkdir(parents=True, exist_ok=True)
    times: list[float] = []
    try:
        pictures = _timed(row, settings, times)
        write_video(
            path,
            pictures,
            Header.of(row.meta).fps,
            times=times,
            gop=settings.gop,
            quality=settings.quality,
        )
        if not times:
            raise Unreadable("no frame of it can be decoded")
    except Unreadable as error:
        path.unlink(missing_ok=True)
        return Entry(**{**asdict(entry), "error": error.why})
    except SslPlatformError:
        raise
    except Exception as error:
        path.unlink(missing_ok=True)
        return Entry(**{**asdict(entry), "error": f"{type(error).__name__}: {error}"})
    return Entry(**{**asdict(entry), "output": output, "frames": len(times), "bytes": path.stat().st_size})


def _timed(row: Row, settings: Settings, times: list[float]) -> Iterator[np.ndarray]:
    """All frames of an item at the size of the copy, upright, with even sides; their times are appended to `times`."""
    source = Header.of(row.meta)
    scale = min(1.0, settings.short_side / min(source.shown))
    size = source.stored(tuple(max(2, 2 * round(n * scale / 2)) for n in source.shown))
    pictures = _folder_frames(row, source, size) if source.folder else _file_frames(row, source, size)
    last = -1.0
    for time, picture in pictures:
        if time <= last:
            continue
        times.append(time)
        last = time
        yield np.rot90(picture, -source.rotation // 90) if source.rotation else picture


def _folder_frames(row: Row, source: Header, size: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    for number, path in enumerate(frame_folders.frames_of(Path(row.path))):
        yield number / source.fps, frame_folders.picture(path, size)


def _file_frames(row: Row, source: Header, size: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    import av

    try:
        with av.open(row.path, metadata_errors="ignore") as container:
            stream: Any = container.streams[source.stream]
            stream.codec_context.thread_count = 1
            for frame in container.decode(stream):
                if frame.time is not None:
                    scaled = frame.reformat(size[1], size[0], "rgb24", interpolation="BILINEAR", threads=1)
                    yield max(0.0, frame.time - source.start), scaled.to_ndarray()
    except av.error.FFmpegError as error:
        raise Unreadable(f"its content cannot be decoded ({cause(error)}): truncated or damaged") from None
