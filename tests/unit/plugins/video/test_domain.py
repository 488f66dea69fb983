"""The domain through the platform's own scan, cache and windows; real videos where they lie beside the checkout."""

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_platform.data.cache import Cache
from ssl_platform.data.loader import Loader
from ssl_platform.data.scan import scan
from ssl_platform.errors import ConfigError, DataError, Unreadable
from ssl_platform.plan import Plan
from ssl_platform.types import Window
from ssl_platform_video.domain import StoredVideo, Video
from ssl_platform_video.encode import write_video
from ssl_platform_video.options import VideoOptions
from ssl_platform_video.readers import decord_reader


def numbered(count=40, height=48, width=80):
    return [np.full((height, width, 3), 6 * i, np.uint8) for i in range(count)]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "videos"
    place.mkdir()
    write_video(place / "slow.mp4", numbered(), 10)
    write_video(place / "fast.mkv", numbered(), 20)
    return place


def options(**changes):
    return VideoOptions(**{"fps": 5.0, "short_side": 24, "decoder": "pyav", "decoded": "none", **changes})


def rows_of(domain, folder, tmp_path):
    return {Path(row.path).name: row for row in scan([folder], domain, folder=tmp_path / "cache").catalog.rows()}


def test_clips_have_one_rate_whatever_the_videos(folder, tmp_path):
    domain = Video(options())
    rows = rows_of(domain, folder, tmp_path)
    assert rows["slow.mp4"].shape == (20, 24, 40) and rows["fast.mkv"].shape == (10, 24, 40)
    for name, frames_a_cell in (("slow.mp4", 2), ("fast.mkv", 4)):
        part = domain.read(rows[name], Window((2, 0, 0), (4, 24, 24)))["main"]
        assert part.data.shape == (3, 4, 24, 24) and part.data.dtype == np.uint8 and part.valid is None
        middle = [(2 + t) * frames_a_cell + frames_a_cell // 2 for t in range(4)]
        assert np.abs(part.data.mean((0, 2, 3)) - 6 * np.array(middle)).max() < 3
        assert part.spacing == (0.2, 1.0, 1.0) and part.origin == pytest.approx((0.4, 0.0, 0.0))


def test_what_lies_outside_is_invalid(folder, tmp_path):
    domain = Video(options())
    row = rows_of(domain, folder, tmp_path)["fast.mkv"]
    part = domain.read(row, Window((-3, 4, 30), (16, 24, 24)))["main"]
    assert part.valid is not None and part.valid[3:13, :20, :10].all() and part.valid.sum() == 10 * 20 * 10
    assert part.origin == pytest.approx((-0.6, 4.0, 30.0))
    beyond = domain.read(row, Window((40, 0, 0), (4, 24, 24)))["main"]
    assert beyond.valid is not None and not beyond.valid.any()


def test_stored_frames_are_those_read_from_the_file(folder, tmp_path):
    live, stored = Video(options()), Video(options(decoded="stored"))
    assert (
        type(live) is Video and type(stored) is StoredVideo and type(pickle.loads(pickle.dumps(stored))) is StoredVideo
    )
    stored.cache = Cache(tmp_path / "prepared")
    for row in rows_of(live, folder, tmp_path).values():
        for window in (Window((1, 2, 3), (6, 16, 20)), Window((-2, 0, 0), (4, 24, 24))):
            a, b = live.read(row, window)["main"], stored.read(row, window)["main"]
            assert np.array_equal(a.data, b.data) and a.origin == pytest.approx(b.origin) and a.spacing == b.spacing
            assert (a.valid is None) == (b.valid is None) and (a.valid is None or np.array_equal(a.valid, b.valid))


def test_clips_at_another_speed_are_not_taken_from_the_cache(folder, tmp_path):
    from ssl_platform_video.clips import sped_up

    domain = Video(options(decoded="stored"))
    domain.cache = Cache(tmp_path / "prepared")
    row = sped_up(rows_of(domain, folder, tmp_path)["slow.mp4"], 2.0)
    part = domain.read(row, Window((1, 0, 0), (3, 24, 24)))["main"]
    assert part.spacing[0] == pytest.approx(0.4)
    assert np.abs(part.data.mean((0, 2, 3)) - 6 * np.array([6, 10, 14])).max() < 3


def test_windows_larger_than_scaled_frames_are_refused(folder, tmp_path):
    domain = Video(options())
    row = rows_of(domain, folder, tmp_path)["slow.mp4"]
    uniforms = np.random.default_rng(0).random(5)
    with pytest.raises(DataError, match=r"set data\.short_side=48 or more"):
        domain.place(row, (4, 48, 48), uniforms)
    own = Video(options(short_side="native"))
    row = own.fit(row)
    assert own.place(row, (4, 64, 64), uniforms).size == (4, 64, 64)  # the video has no more pixels: padded


def test_folders_of_frames_need_a_rate(tmp_path):
    place = tmp_path / "set" / "walk"
    place.mkdir(parents=True)
    for number, frame in enumerate(numbered(12)):
        Image.fromarray(frame).save(place / f"{number:03d}.jpg")
    with pytest.raises(DataError, match=r"data\.frame_rate=30, or a manifest column 'frame_rate'"):
        scan([tmp_path / "set"], Video(), folder=tmp_path / "cache")
    found = scan([tmp_path / "set"], Video(options(frame_rate=6)), folder=tmp_path / "cache")
    assert found.catalog.row(0).shape == (10, 24, 40)
    told = scan(
        [tmp_path / "set"], Video(options()), folder=tmp_path / "cache", overrides=lambda _: [(0, {"frame_rate": 3})]
    )
    row = told.catalog.row(0)
    assert row.shape[0] == 20 and row.meta["duration"] == 4.0
    assert np.abs(told.domain.read(row, Window((0, 0, 0), (20, 24, 24)))["main"].data[0, 19].mean() - 66) < 3
    wrong = Video(options()).fit
    with pytest.raises(Unreadable, match="manifest column 'frame_rate' is 'x'"):
        wrong(row.replace(meta={**row.meta, "frame_rate": "x"}))


def test_what_is_left_to_auto_is_settled_with_its_reason(folder, tmp_path):
    found = scan([folder], Video(), folder=tmp_path / "cache")
    settled = found.settled
    assert settled["fps"][0] == 8.0 and "10 to 20" in settled["fps"][1]
    assert settled["short_side"][0] == 48 and settled["decoder"][0] == "pyav"
    assert settled["decoded"][0] == "stored" and "under 1 GB" in settled["decoded"][1]
    assert type(found.domain) is StoredVideo
    slow = scan([folder / "slow.mp4"], Video(VideoOptions(fps="auto", short_side="native")), folder=tmp_path / "cache")
    assert slow.settled["fps"][0] == 8.0 and "short_side" not in slow.settled


def test_large_sets_are_not_decoded_into_the_cache(folder, tmp_path, monkeypatch):
    import ssl_platform_video.settle as settle

    monkeypatch.setattr(settle, "STORED_BYTES", 1000)
    found = scan([folder], Video(), folder=tmp_path / "cache")
    assert found.settled["decoded"][0] == "none" and "over" in found.settled["decoded"][1]
    assert type(found.domain) is Video


def test_a_decoder_that_does_not_work_is_refused_before_anything_is_read(folder, tmp_path, monkeypatch):
    from ssl_platform_video.readers import prove

    def broken(clip):
        raise OSError("libavcodec.so.58: cannot open shared object file")

    prove.cache_clear()
    monkeypatch.setattr(decord_reader, "read", broken)
    with pytest.raises(ConfigError, match=r"data\.decoder=decord cannot decode here \(libavcodec"):
        scan([folder], Video(options(decoder="decord", fps="auto")), folder=tmp_path / "cache")
    prove.cache_clear()


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("v_ApplyEyeMakeup_g07_c02.avi", ("v_ApplyEyeMakeup_g07", "UCF101 group")),
        ("-3B32lodo2M_000059_000069.mp4", ("-3B32lodo2M", "Kinetics video")),
        ("holiday.mp4", (None, "file")),
    ],
)
def test_clips_of_one_video_are_one_group(tmp_path, name, group):
    path = write_video(tmp_path / name, numbered(4), 10)
    domain = Video()
    assert domain.group(next(iter(domain.scan(path)))) == group


def test_batches_are_the_same_in_workers(folder, tmp_path):
    domain = Video(options())
    catalog = scan([folder], domain, folder=tmp_path / "cache").catalog
    wanted = {"window": (4, 16, 16), "batch_size": 2, "seed": 3}
    here = [b.reads[0]["main"].data for b in itertools.islice(Loader(catalog, domain, Plan.single(), **wanted), 3)]
    there = Loader(catalog, domain, Plan.single(), workers=1, start_method="spawn", **wanted)
    assert all(a.equal(b.reads[0]["main"].data) for a, b in zip(here, itertools.islice(there, 3), strict=True))


def test_masks_of_frames_are_set_aside(tmp_path):
    """DAVIS: `JPEGImages/480p/bear` and `Annotations/480p/bear`."""
    for kind in ("JPEGImages", "Annotations"):
        place = tmp_path / "davis" / kind / "480p" / "bear"
        place.mkdir(parents=True)
        for number, frame in enumerate(numbered(4)):
            Image.fromarray(frame).save(place / f"{number:05d}.png")
    found = scan([tmp_path / "davis"], Video(options(frame_rate=24)), folder=tmp_path / "cache")
    assert [row.id for row in found.catalog.rows()] == ["JPEGImages/480p/bear"] and len(found.masks) == 1


def test_rules_that_were_applied_are_told(tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    write_video(place / "a.mp4", numbered(12), 10, rotation=90)
    write_video(place / "b.mkv", numbered(4), 10, times=[0.0, 0.05, 0.4, 0.5])
    settled = scan([place], Video(), folder=tmp_path / "cache").settled
    assert "1 of variable rate" in settled["fps"][1] and "1 turned upright" in settled["short_side"][1]
    assert "stream" not in settled


# ---------------------------------------------------------------------------------------------------------- real files
@pytest.mark.real
def test_real_videos(real_data, tmp_path):
    found = scan([real_data / "video"], Video(), folder=tmp_path / "cache")
    rows = {Path(row.path).name: row for row in found.catalog.rows()}
    assert len(rows) == 7 and not found.quarantined
    assert found.settled["stream"][0] == "largest" and "nasa_13013.mp4 (stream 3)" in found.settled["stream"][1]
    nasa = rows["nasa_13013.mp4"]
    # The first stream has 320x180 pixels at 25 frames a second, the largest 480x270 at 29.97.
    assert nasa.meta["stream"] == 3 and nasa.meta["frames"] == 390 and "one of 2" in nasa.meta["note"]
    assert rows["h265_10bits.mp4"].meta["pixels"] == "yuv420p10le" and rows["av1_video.mkv"].meta["codec"] == "av1"
    domain = Video(VideoOptions(**{**found.domain.options.model_dump(), "decoded": "none"}))
    for row in rows.values():
        part = domain.read(row, Window((2, 0, 0), (4, 64, 64)))["main"]
        assert part.data.std() > 1


@pytest.mark.real
def test_decoders_agree_on_a_real_file_of_two_streams(real_data):
    from ssl_platform_video.header import read_header
    from ssl_platform_video.readers import Clip, pyav

    path = real_data / "video" / "codecs" / "nasa_13013.mp4"
    header = read_header(path)
    times = np.array([0.5, 5.0, 5.01, 7.77, 12.9])
    clip = Clip(str(path), times, (270, 480), header.stream, header.start, usual=header.usual)
    assert decord_reader.serves(clip) is None
    assert np.array_equal(decord_reader.read(clip), pyav.read(clip))
