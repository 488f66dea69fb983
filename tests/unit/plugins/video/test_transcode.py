"""Copies at training size: what is kept, what is skipped."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ssl_platform.data.scan import scan
from ssl_platform.data.shards.held import Located
from ssl_platform.errors import Unreadable
from ssl_platform.types import Window
from ssl_platform_video.domain import Video
from ssl_platform_video.encode import write_video
from ssl_platform_video.header import Header
from ssl_platform_video.options import VideoOptions
from ssl_platform_video.transcode import Settings, copy_item

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


def test_copies_show_the_same_windows_under_the_same_ids(source, tmp_path):
    before = look(source, tmp_path)
    domain = before.domain
    for number, row in enumerate(before.catalog.rows()):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        packed = domain.pack(row, [row.path], scratch)
        copy = domain.fit(packed.row)
        assert (copy.id, copy.group, copy.fingerprint, copy.path) == (row.id, row.group, row.fingerprint, row.path)
        assert copy.shape == row.shape and copy.meta["frames"] == row.meta["frames"]
        assert copy.meta["copy"] and not Header.of(copy.meta).folder and Header.of(copy.meta).rotation == 0
        window = Window((3, 0, 0), (8, 32, 32))
        a, b = (domain.read(r, window)["main"] for r in (row, copy.replace(path=str(packed.files[row.path]))))
        assert np.abs(a.data.astype(int) - b.data).mean() < 4


def test_copies_are_small_with_many_key_frames_and_no_sound(source, tmp_path):
    row = next(row for row in look(source, tmp_path).catalog.rows() if row.id == "a.mp4")
    assert copy_item(row, tmp_path / "copy.mp4", SMALL) == 24
    with av.open(str(tmp_path / "copy.mp4")) as container:
        stream = container.streams.video[0]
        keys = sum(p.is_keyframe for p in container.demux(stream) if p.size)
        assert (stream.height, stream.width) == (32, 48) and keys >= 6 and not container.streams.audio
    copy_item(row, tmp_path / "again.mp4", SMALL)
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "copy.mp4").read_bytes()


def test_copies_are_never_smaller_than_frames_are_read_nor_larger_than_the_source(source, tmp_path):
    assert Settings.of(VideoOptions(short_side=400)).short_side == 400
    assert Settings.of(VideoOptions(copy_side=128, short_side=64)) == Settings(128, 16, 23)
    row = next(row for row in look(source, tmp_path).catalog.rows() if row.id == "a.mp4")
    for number, options in enumerate((VideoOptions(), VideoOptions(short_side="native"))):
        copy_item(row, tmp_path / f"{number}.mp4", Settings.of(options))
        with av.open(str(tmp_path / f"{number}.mp4")) as container:
            assert (container.streams.video[0].height, container.streams.video[0].width) == (64, 96)


def test_a_damaged_video_leaves_nothing_behind(source, tmp_path):
    row = next(row for row in look(source, tmp_path).catalog.rows() if row.id == "a.mp4")
    Path(row.path).write_bytes(b"no longer a video" * 100)
    (tmp_path / "out").mkdir()
    with pytest.raises(Unreadable, match="truncated or damaged"):
        copy_item(row, tmp_path / "out" / "copy.mp4", SMALL)
    assert not list((tmp_path / "out").iterdir())


def test_exact_packs_files_as_they_are_and_refuses_folders(source, tmp_path):
    found = look(source, tmp_path)
    rows = {row.id: row for row in found.catalog.rows()}
    packed = found.domain.pack(rows["a.mp4"], [rows["a.mp4"].path], tmp_path, exact=True)
    assert packed.row is rows["a.mp4"] and packed.files == {packed.row.path: source / "a.mp4"}
    with pytest.raises(Unreadable, match="leave out --exact"):
        found.domain.pack(rows["frames"], [rows["frames"].path], tmp_path, exact=True)


def test_a_part_of_a_shard_is_read_where_it_lies(source, tmp_path):
    found = look(source, tmp_path)
    row = next(row for row in found.catalog.rows() if row.id == "a.mp4")
    content = (source / "a.mp4").read_bytes()
    (tmp_path / "shard.tar").write_bytes(bytes(512) + content + bytes(700))
    there = found.domain.within(Located(tmp_path / "shard.tar", 512, len(content), False, 0, "0.mp4"), row.path)
    window = Window((3, 0, 0), (8, 32, 32))
    a, b = (found.domain.read(r, window)["main"].data for r in (row, row.replace(path=there)))
    assert np.array_equal(a, b)
