"""The nastiest videos, through the command line: each costs only itself and says why in one line."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ssl_platform.cli.main import main
from ssl_platform_video.encode import write_video

Capture = pytest.CaptureFixture[str]
RNG = np.random.default_rng(0)
FRAMES = [RNG.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(16)]


def cut_off(folder: Path) -> None:
    """What lies at the end of the file, and says where its frames are, is gone."""
    path = write_video(folder / "cut_off.mp4", FRAMES, 8)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def broken_download(folder: Path) -> None:
    """The index lies in front and promises more frames than there are."""
    path = folder / "broken_download.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def sound_only(folder: Path) -> None:
    with av.open(str(folder / "sound_only.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def empty_stream(folder: Path) -> None:
    """A container with a stream of one frame, as a recorder leaves that was stopped at once."""
    write_video(folder / "empty_stream.mkv", FRAMES[:1], 8)


def frames_without_rate(folder: Path) -> None:
    place = folder / "frames_without_rate"
    place.mkdir()
    for number, frame in enumerate(FRAMES[:4]):
        Image.fromarray(frame).save(place / f"{number:04d}.png")


BAD = {
    cut_off: "not a readable video",
    broken_download: "of 16 frames are there",
    sound_only: "no video stream (there is 1 audio)",
    empty_stream: "one frame: a picture, not a video",
    frames_without_rate: "set data.frame_rate=30, or a manifest column 'frame_rate'",
}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(6):
        write_video(folder / f"good{number}.mp4", FRAMES, 8)
    return folder


def test_bad_files_among_good_ones_are_named(videos: Path, tmp_path: Path, capsys: Capture) -> None:
    for make in BAD:
        make(videos)
    words = ["scan", str(videos), "--domain", "video", "data.max_bad_fraction=0.9", f"cache.dir={tmp_path / 'cache'}"]
    assert main([*words, "--out", str(tmp_path / "manifest.csv")]) == 0
    text = capsys.readouterr().out
    assert "6 items" in text and "quarantined: 5" in text
    for make, why in BAD.items():
        (line,) = [line for line in text.splitlines() if line.startswith("  ") and f"/{make.__name__}" in line]
        assert why in line
    assert (tmp_path / "manifest_quarantine.csv").read_text(encoding="utf-8").count("\n") == 6


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_nothing_but_bad_files_is_a_usage_error(make, tmp_path: Path, capsys: Capture) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path)
    assert main(["scan", str(tmp_path), "--domain", "video", f"cache.dir={tmp_path / 'cache'}"]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and BAD[make] in error


def test_content_damaged_behind_a_sound_header_is_named_before_the_first_step(
    videos: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = videos / "good0.mp4"
    raw = bytearray(path.read_bytes())
    begin = raw.index(b"mdat") + 4
    length = int.from_bytes(raw[begin - 8 : begin - 4], "big")
    kept = length // 3  # the first frame survives
    raw[begin + kept : begin + length - 8] = b"\xff" * (length - 8 - kept)
    path.write_bytes(raw)
    words = ["pretrain", "--domain", "video", "--data", str(videos), "--run", str(tmp_path / "run")]
    small = ["data.window=[4,16,16]", "backbone.patch=[2,8,8]", "trainer.max_steps=2", "data.batch_size=2"]
    assert main([*words, *small, "data.max_bad_fraction=0.5", f"cache.dir={tmp_path / 'cache'}"]) == 0
    captured = capsys.readouterr()
    (line,) = [line for line in (captured.out + captured.err).splitlines() if line.startswith("quarantined:")]
    assert "1 of 6 items" in line and "good0.mp4" in line and "truncated or damaged" in line


def test_windows_larger_than_scaled_frames_are_a_usage_error(videos: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["pretrain", "--domain", "video", "--data", str(videos), "--run", str(tmp_path / "run")]
    small = ["data.window=[4,32,32]", "backbone.patch=[2,8,8]", "trainer.max_steps=2", "data.short_side=16"]
    assert main([*words, *small, f"cache.dir={tmp_path / 'cache'}"]) == 2
    assert "set data.short_side=32 or more" in capsys.readouterr().err


def test_a_decoder_that_cannot_decode_is_a_usage_error(
    videos: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_platform_video.readers import prove, torchcodec_reader

    def absent(clip: object) -> None:
        raise RuntimeError("Could not load libtorchcodec. Likely causes:\n 1. FFmpeg is not installed")

    prove.cache_clear()
    monkeypatch.setattr(torchcodec_reader, "read", absent)
    words = ["scan", str(videos), "--domain", "video", "data.decoder=torchcodec", f"cache.dir={tmp_path / 'cache'}"]
    assert main(words) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and "Could not load libtorchcodec" in error and "use data.decoder=pyav" in error
    prove.cache_clear()
