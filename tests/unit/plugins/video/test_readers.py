"""Every decoder gives the frames shown at the times asked for, whatever the file is like."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_platform.errors import ConfigError, Unreadable
from ssl_platform_video.encode import write_video
from ssl_platform_video.header import Header, read_header
from ssl_platform_video.readers import Clip, decord_reader, frames, prove, pyav, read_clip, torchcodec_reader
from ssl_platform_video.scenes import make_scene

FPS = 10.0
if importlib.util.find_spec("decord") is None:
    pytest.skip("no wheel of decord for this machine", allow_module_level=True)


def numbered(count=30, height=48, width=64):
    """Frames that say their number: brightness rises by 8 a frame."""
    return [np.full((height, width, 3), 8 * i, np.uint8) for i in range(count)]


def clip_of(path, times, size=None, **changes):
    found = read_header(path) if path.is_file() else frames.read_header(path, FPS)
    facts = {
        "stream": found.stream,
        "start": found.start,
        "rotation": found.rotation,
        "fps": found.fps,
        "pixels": found.pixels,
        "usual": found.usual,
    }
    return Clip(str(path), np.asarray(times, float), size or (found.height, found.width), **{**facts, **changes})


def numbers(pictures):
    return np.rint(pictures.mean((1, 2, 3)) / 8).astype(int).tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm", ".mov"])
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_the_frame_shown_at_a_time_is_read(tmp_path, suffix, decoder):
    path = write_video(tmp_path / f"x{suffix}", numbered(), FPS, gop=8)
    times = [0.0, 0.05, 0.1, 0.19, 0.2001, 1.55, 1.6, 2.95, 9.0]
    found = read_clip(clip_of(path, times), decoder)
    assert found.shape == (9, 48, 64, 3) and found.dtype == np.uint8
    assert numbers(found) == [0, 0, 1, 1, 2, 15, 16, 29, 29]


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_uneven_times_are_followed(tmp_path, decoder):
    times = np.cumsum([0.0, 0.05, 0.3, 0.05, 0.4, 0.1, 0.1, 0.8])
    path = write_video(tmp_path / "x.mp4", numbered(8), FPS, times=times.tolist())
    header = read_header(path)
    assert header.variable and header.frames == 8 and header.duration == pytest.approx(1.9, abs=0.01)
    asked = np.linspace(0.01, 1.89, 40)
    expected = np.searchsorted(times, asked, side="right") - 1
    assert numbers(read_clip(clip_of(path, asked), decoder)) == expected.tolist()


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_rotated_videos_come_upright(tmp_path, turn, decoder):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:16, :16] = 255  # top left
    stored = np.rot90(upright, -turn // 90)
    path = write_video(tmp_path / "x.mp4", [stored] * 6, FPS, rotation=turn)
    clip = clip_of(path, [0.05, 0.35])
    (first, last) = read_clip(clip, decoder)
    assert first.shape == (48, 64, 3) and np.abs(first.astype(int) - upright).mean() < 4
    assert read_header(path).shown == (48, 64)
    assert np.abs(last.astype(int) - upright).mean() < 4


def test_decoders_agree_to_the_last_bit_and_nearly_so_when_scaling(tmp_path):
    scene = make_scene("circling", np.random.default_rng(0)).frames[:20]
    path = write_video(tmp_path / "x.mp4", scene, FPS, gop=30)
    clip = clip_of(path, [0.25, 0.75, 1.35])
    assert np.array_equal(pyav.read(clip), decord_reader.read(clip))
    small = clip_of(path, [0.25, 0.75, 1.35], size=(48, 54))
    assert np.abs(pyav.read(small).astype(int) - decord_reader.read(small)).mean() < 1


def test_other_decoders_give_way_where_they_would_read_otherwise(tmp_path):
    path = write_video(tmp_path / "x.mp4", numbered(6), FPS)
    good = clip_of(path, [0.1])
    assert decord_reader.serves(good) is None
    for change in ({"rotation": 90}, {"usual": False}, {"pixels": "yuv420p10le"}):
        assert decord_reader.serves(clip_of(path, [0.1], **change))
    assert torchcodec_reader.serves(clip_of(path, [0.1], rotation=90))
    # 10 bits: decord's colours would be far off, so PyAV's are given.
    deep = write_video(tmp_path / "deep.mp4", numbered(6), FPS, pixels="yuv420p10le")
    assert numbers(read_clip(clip_of(deep, [0.05, 0.45]), "decord")) == [0, 4]


def test_a_misleading_index_is_decoded_from_the_start(tmp_path, monkeypatch):
    path = write_video(tmp_path / "x.mp4", numbered(), FPS, gop=10)
    monkeypatch.setattr(pyav, "_from_key_frame", lambda *_: None)
    assert numbers(read_clip(clip_of(path, [2.05]))) == [20]


def test_only_what_a_clip_needs_is_decoded(tmp_path, monkeypatch):
    """From the key frame before a clip to its last frame, wherever in the file it lies; never the frames before."""
    path = write_video(tmp_path / "x.mp4", numbered(30) * 10, FPS, gop=10)
    clips = [clip_of(path, [time, time + 0.1]) for time in (0.55, 14.55, 29.55)]
    decoded, real = [], pyav._decoded

    def counted(context, packets, needed, size):
        decoded.append((len(packets), len(needed)))
        return real(context, packets, needed, size)

    monkeypatch.setattr(pyav, "_decoded", counted)
    monkeypatch.setattr(pyav, "_from_start", lambda *_: pytest.fail("all frames before the clip were decoded"))
    assert [numbers(read_clip(clip)) for clip in clips] == [[5, 6], [25, 26], [25, 26]]
    assert all(packets <= 12 and frames == 2 for packets, frames in decoded) and len(decoded) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_what_is_left_out_on_the_way_changes_no_frame(tmp_path, suffix):
    """Frames nothing is predicted from are not decoded unless wanted: the others come out to the last bit the same."""
    import av

    scene = make_scene("rising", np.random.default_rng(1)).frames[:30]
    path = write_video(tmp_path / f"x{suffix}", scene, FPS, gop=20)
    with av.open(str(path)) as container:
        everything = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for first in (0.05, 0.95, 2.15):
        times = first + np.arange(4) * 0.25
        expected = [everything[min(29, int(t * FPS + 1e-6))] for t in times]
        assert np.array_equal(read_clip(clip_of(path, times)), np.stack(expected))


def test_folders_of_frames(tmp_path):
    for number, frame in enumerate(numbered(12)):
        Image.fromarray(frame).save(tmp_path / f"frame{number}.png")  # frame10 comes after frame9
    (tmp_path / "notes1.txt").write_text("not a frame")
    assert len(frames.frames_of(tmp_path)) == 12
    found = read_clip(clip_of(tmp_path, [0.05, 0.95, 1.15, 7.0], size=(24, 32)))
    assert found.shape == (4, 24, 32, 3) and numbers(found) == [0, 9, 11, 11]


def test_what_is_wrong_with_a_folder_of_frames_is_named(tmp_path):
    for number, size in enumerate(((8, 8), (8, 9))):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(Unreadable, match=r"0\.png has 8x8 pixels, 1\.png has 9x8"):
        frames.read_header(tmp_path, FPS)
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(2):
        Image.fromarray(np.zeros((8, 8), np.uint8)).convert("P").save(masks / f"{number}.png")
    with pytest.raises(Unreadable, match="palette picture: label masks"):
        frames.read_header(masks, FPS)
    (tmp_path / "0.png").write_bytes(b"no")
    with pytest.raises(Unreadable, match=r"0\.png is not a readable picture"):
        frames.read_header(tmp_path, FPS)


def test_a_file_that_is_gone_has_its_line(tmp_path):
    path = write_video(tmp_path / "x.mp4", numbered(4), FPS)
    clip = clip_of(path, [0.1])
    path.unlink()
    for decoder in ("pyav", "decord"):
        with pytest.raises(Unreadable, match="no such file"):
            read_clip(clip, decoder)


def test_nothing_asked_for_is_nothing_read(tmp_path):
    assert read_clip(Clip(str(tmp_path / "none.mp4"), np.zeros(0), (4, 6))).shape == (0, 4, 6, 3)


def test_a_decoder_proves_itself_or_says_what_helps(monkeypatch):
    assert "PyAV" in prove("pyav") and "decord decodes" in prove("decord")
    prove.cache_clear()
    monkeypatch.setattr(decord_reader, "read", lambda clip: np.zeros((2, 48, 64, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"data\.decoder=decord cannot decode here.*use data\.decoder=pyav"):
        prove("decord")
    prove.cache_clear()


@pytest.mark.slow  # torchcodec looks for six releases of FFmpeg
def test_torchcodec_without_ffmpeg_is_refused_in_one_line():
    try:
        line = prove("torchcodec")
    except ConfigError as error:
        assert "\n" not in str(error) and "FFmpeg's shared libraries" in str(error)
    else:
        assert "torchcodec decodes" in line


@pytest.mark.slow
def test_torchcodec_agrees_where_it_has_libraries(tmp_path):
    """Torchcodec with the FFmpeg inside PyAV's wheel, through links with the names it looks for."""
    import av
    import torch

    packages = Path(av.__file__).parents[1]
    links = tmp_path / "lib"
    links.mkdir()
    for name in ("avutil", "avcodec", "avformat", "avdevice", "avfilter", "swscale", "swresample"):
        for library in (packages / "av.libs").glob(f"lib{name}-*.so.*"):
            major = library.name.partition(".so.")[2].partition(".")[0]
            (links / f"lib{name}.so.{major}").symlink_to(library)
    path = write_video(tmp_path / "x.mp4", numbered(), FPS, gop=8)
    code = (
        "import numpy as np; from ssl_platform_video.readers import *; from ssl_platform_video.readers import pyav, "
        "torchcodec_reader as t; prove('torchcodec'); "
        f"c = Clip({str(path)!r}, np.array([0.0, .05, .1, 1.55, 2.95, 9.0]), (24, 32)); "
        "print(np.abs(t.read(c).astype(int) - pyav.read(c)).max())"
    )
    folders = [links, packages / "av.libs", Path(torch.__file__).parent / "lib", *packages.glob("nvidia/*/lib")]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, folders))}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    if "cannot decode here" in run.stderr:
        pytest.skip("torchcodec does not load here")
    assert int(run.stdout) <= 2, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_memory_stays_bounded_over_a_thousand_reads(tmp_path, decoder):
    import resource

    path = write_video(tmp_path / "x.mp4", numbered(12, 64, 64), FPS)
    clip = clip_of(path, np.arange(4) / 10 + 0.35, size=(32, 32))

    def used():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    handles = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        read_clip(clip, decoder)
    before = used()
    for _ in range(1000):
        read_clip(clip, decoder)
    assert used() - before < 8 and len(list(Path("/proc/self/fd").iterdir())) == handles


def test_a_header_survives_the_row(tmp_path):
    header = read_header(write_video(tmp_path / "x.mp4", numbered(4), FPS))
    assert Header.of({**header.as_meta(), "more": 1}) == header
