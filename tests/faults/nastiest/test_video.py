"""The nastiest videos: used by a rule that is said, or refused in one line with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)


FRAMES = [RNG.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(16)]


def video(path: Path, frames: list[np.ndarray] = FRAMES, rate: float = 8, **words: object) -> None:
    from ssl_platform_video.encode import write_video

    write_video(path, frames, rate, **words)  # type: ignore[arg-type]


def album_cover(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        sound, cover = container.add_stream("aac", rate=16000), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 48, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 16000
        picture = av.VideoFrame.from_ndarray(FRAMES[0], "rgb24").reformat(format="yuvj420p")
        for packets in (sound.encode(tone), cover.encode(picture), cover.encode(), sound.encode()):
            container.mux(packets)


UNEVEN = [0, 0.1, 0.2, 0.5, 0.6, 1.5, 1.6, 2, 2.2, 2.3, 2.4, 3, 3.1, 3.2, 3.3, 4]


def good(path: Path) -> None:
    video(path)


GOOD = "good{}.mp4"
NASTIEST = {
    "phone.mp4": (lambda path: video(path, rotation=90), True, "noted: turned by 270 degrees (1 item, such as phone.m"),
    "screen.mp4": (lambda path: video(path, times=UNEVEN), True, "noted: variable frame rate (1 item, such as screen"),
    "blink.mp4": (lambda path: video(path, FRAMES[:3], 30), True, "1 shorter than half a window (padded, the rest is"),
    "lens_cap.mp4": (
        lambda path: video(path, [np.zeros((32, 48, 3), np.uint8)] * 16),
        False,
        "every pixel of every frame is 0: nothing was recorded",
    ),
    "album.mp4": (album_cover, False, "it has no video stream (there is 1 audio, 1 cover picture)"),
    "pointer.mp4": (None, False, "a Git LFS pointer"),
}


def test_it_is_used_by_a_rule_or_refused_with_a_way_out(told, nasty: str) -> None:
    told.check(nasty)
