"""Copies at training size: what is kept, what is skipped, what the ledger says."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ssl_platform.data.scan import scan
from ssl_platform.errors import DataError
from ssl_platform.types import Window
from ssl_platform_video.domain import Video
from ssl_platform_video.encode import write_video
from ssl_platform_video.options import VideoOptions
from ssl_platform_video.transcode import LEDGER, Settings, read_ledger, transcode

SMALL = Settings(short_side=32, gop=4)


def numbered(count=24, height=64, width=96):
    return [np.full((height, width, 3), 10 * i, np.uint8) for i in range(count)]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    write_video(folder / "a.mp4", numbered(), 10, gop=250)
    uneven = np.cumsum(np.r_[0.0, np.random.default_rng(0).uniform(0.05, 0.2, 23)])
    write_video(folder / "deep" / "b.mkv", numbered(), 10, times=uneven.tolist())
    write_video(folder / "turned.mp4", [np.rot90(f) for f in numbered()], 10, rotation=-90)
    frames = folder / "frames"
    frames.mkdir()
    for number, frame in enumerate(numbered()):
        Image.fromarray(frame).save(frames / f"{number:03d}.png")
    return folder


def look(folder, tmp_path):
    options = VideoOptions(fps=8.0, short_side=32, frame_rate=10, decoder="pyav", decoded="none")
    return scan([folder], Video(options), folder=tmp_path / "cache")


def test_copies_show_the_same_windows(source, tmp_path):
    before = look(source, tmp_path)
    seen = []
    entries = transcode(before.catalog.rows(), tmp_path / "out", SMALL, progress=seen.append)
    assert [e.error for e in entries] == [""] * 4 and seen == entries
    assert sorted(e.output for e in entries) == ["a.mp4", "deep/b.mp4", "frames.mp4", "turned.mp4"]
    after = {row.id: row for row in look(tmp_path / "out", tmp_path).catalog.rows()}
    for entry, row in zip(entries, before.catalog.rows(), strict=True):
        copy = after[entry.output]
        assert copy.shape == row.shape and copy.meta["frames"] == row.meta["frames"] == entry.frames
        window = Window((3, 0, 0), (8, 32, 32))
        a, b = (before.domain.read(r, window)["main"] for r in (row, copy))
        assert np.abs(a.data.astype(int) - b.data).mean() < 4


def test_copies_are_small_with_many_key_frames_and_no_sound(source, tmp_path):
    (entry,) = [e for e in transcode(look(source, tmp_path).catalog.rows(), tmp_path / "out", SMALL) if e.id == "a.mp4"]
    with av.open(str(tmp_path / "out" / entry.output)) as container:
        stream = container.streams.video[0]
        keys = sum(p.is_keyframe for p in container.demux(stream) if p.size)
        assert (stream.height, stream.width) == (32, 48) and keys >= 6 and not container.streams.audio


def test_smaller_videos_are_not_enlarged(source, tmp_path):
    entries = transcode(look(source, tmp_path).catalog.rows(), tmp_path / "out")
    rows = {row.id: row for row in look(tmp_path / "out", tmp_path).catalog.rows()}
    assert all(min(rows[e.output].meta["height"], rows[e.output].meta["width"]) == 64 for e in entries)


def test_what_is_done_is_not_done_again_and_what_changed_is(source, tmp_path):
    rows = list(look(source, tmp_path).catalog.rows())
    first = transcode(rows, tmp_path / "out", SMALL)
    again: list[object] = []
    assert transcode(rows, tmp_path / "out", SMALL, progress=again.append) == first and not again
    (tmp_path / "out" / "a.mp4").unlink()
    transcode(rows, tmp_path / "out", SMALL, progress=again.append)
    assert [e.id for e in again] == ["a.mp4"]
    transcode(rows, tmp_path / "out", Settings(short_side=48, gop=4), progress=again.append)
    assert len(again) == 5
    with (tmp_path / "out" / LEDGER).open("a") as ledger:
        ledger.write('{"id": "half')  # killed while writing
    assert set(read_ledger(tmp_path / "out")) == {row.id for row in rows}


def test_a_damaged_video_costs_only_itself(source, tmp_path):
    rows = list(look(source, tmp_path).catalog.rows())
    gone = next(row for row in rows if row.id == "a.mp4")
    Path(gone.path).write_bytes(b"no longer a video" * 100)
    entries = {e.id: e for e in transcode(rows, tmp_path / "out", SMALL)}
    assert "truncated or damaged" in entries["a.mp4"].error and not (tmp_path / "out" / "a.mp4").exists()
    assert sum(not e.error for e in entries.values()) == 3
    lines = [json.loads(line) for line in (tmp_path / "out" / LEDGER).read_text().splitlines()]
    assert len(lines) == 4 and {"id", "source", "fingerprint", "settings", "error"} <= set(lines[0])
    assert not list((tmp_path / "out").rglob("*.part*"))


def test_two_items_never_share_a_file(source, tmp_path):
    write_video(source / "a.mkv", numbered(), 10)
    with pytest.raises(DataError, match=r"'a\.mkv' and 'a\.mp4' would both become 'a\.mp4'"):
        transcode(look(source, tmp_path).catalog.rows(), tmp_path / "out")


@pytest.mark.slow
def test_processes_make_the_same_copies(source, tmp_path):
    rows = list(look(source, tmp_path).catalog.rows())
    assert transcode(rows, tmp_path / "a", SMALL) == transcode(rows, tmp_path / "b", SMALL, workers=2)
