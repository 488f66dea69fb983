"""What files say, and what is refused."""

from fractions import Fraction

import av
import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_video.encode import write_video
from ssl_platform_video.header import read_header

FRAMES = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(8)]


def two_streams(path):
    """A small stream first, a large one second."""
    with av.open(str(path), "w") as container:
        streams = []
        for height, width in ((24, 32), (48, 64)):
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            streams.append(stream)
        for stream in streams:
            for _ in range(5):
                picture = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), "rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    return path


def sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_the_largest_stream_is_taken_and_another_may_be_named(tmp_path):
    path = two_streams(tmp_path / "x.mp4")
    found = read_header(path)
    assert (found.stream, found.streams, found.height, found.width) == (1, 2, 48, 64)
    assert read_header(path, 0).width == 32
    with pytest.raises(Unreadable, match=r"no video stream 5: set data\.stream to one of 0 \(32x24\), 1 \(64x48\)"):
        read_header(path, 5)


def test_sound_alone_is_no_video(tmp_path):
    with pytest.raises(Unreadable, match=r"no video stream \(there is 1 audio\)"):
        read_header(sound_only(tmp_path / "x.mp4"))


@pytest.mark.parametrize(
    ("suffix", "why"),
    [(".avi", "its video stream holds no frame"), (".mp4", "no video stream"), (".mkv", "not a readable video")],
)
def test_a_file_without_a_frame_is_refused(tmp_path, suffix, why):
    """What a recorder leaves that was stopped before its first frame."""
    with av.open(str(tmp_path / f"x{suffix}"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(Unreadable, match=why):
        read_header(tmp_path / f"x{suffix}")


def test_one_frame_is_a_picture(tmp_path):
    with pytest.raises(Unreadable, match="one frame: a picture"):
        read_header(write_video(tmp_path / "x.mkv", FRAMES[:1], 10))


def test_a_file_cut_off_is_refused(tmp_path):
    good = write_video(tmp_path / "x.mp4", FRAMES, 10)
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:-200])  # what lies at the end says where frames are
    with pytest.raises(Unreadable, match="not a readable video"):
        read_header(tmp_path / "cut.mp4")
    (tmp_path / "text.mp4").write_text("these are my notes\n" * 50)
    with pytest.raises(Unreadable, match="not a readable video"):
        read_header(tmp_path / "text.mp4")


def test_frames_that_a_header_promises_and_a_file_lacks(tmp_path):
    """The index in front, the end of the content cut off, as a broken download leaves it."""
    path = tmp_path / "x.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(30):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    assert read_header(path).frames == 30
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unreadable, match=r"truncated: \d+ of 30 frames are there"):
        read_header(path)


@pytest.mark.parametrize("name", ["x.mkv", "x.webm"])
def test_a_matroska_file_cut_off_is_told_by_the_length_it_names(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    path = write_video(tmp_path / name, list(noise), 10)
    assert read_header(path).duration == pytest.approx(6, abs=0.2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unreadable, match=r"truncated: [\d.]+ of 6\.0 s are there"):
        read_header(path)


def test_odd_sizes_and_oblong_pixels(tmp_path):
    odd = [np.zeros((47, 63, 3), np.uint8)] * 3
    found = read_header(write_video(tmp_path / "x.mkv", odd, 10, pixels="yuv444p"))
    assert (found.height, found.width, found.shown) == (47, 63, (47, 63))
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    assert read_header(path).shown == (48, 96)
