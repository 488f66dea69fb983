"""Clips per second from video files, beside random-clip loops over decord and torchcodec on the same files in one run.

    python -m benchmarks.video_windows [--data FOLDER] [--frames 16] [--size 64] [--short-side 72] [--fps 8]

All serve batches of random clips of equal length, rate and size. Theirs open the file, pick the frames by number and
have the decoder scale them, as public training code does. Ours: decoded clip by clip (`none`), frames decoded once into
the cache (`stored`), and clip by clip from copies at training size (`copies`); what making the last two takes is
printed. Without a folder, four 720p videos of ten seconds with one key frame in 250 frames are made.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 8
Pick = Callable[[Path, np.random.Generator], np.ndarray]


def make_videos(folder: Path, count: int = 4) -> None:
    """Ten seconds of a drifting pattern at 720p and 30 frames a second, as the web stores them."""
    from ssl_platform_video.encode import write_video

    rng = np.random.default_rng(0)
    for number in range(count):
        texture = rng.integers(0, 255, (46, 81, 3)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
        frames = (texture[t % 64 : t % 64 + 720, 2 * t % 512 : 2 * t % 512 + 1280] for t in range(300))
        write_video(folder / f"v{number}.mp4", frames, 30, gop=250, quality=23)


def ours(kind: str, data: Path, folder: Path, options: argparse.Namespace) -> Iterator[Any]:
    """Batches from the platform's loader."""
    from ssl_platform.api import prepare
    from ssl_platform.configure import configure
    from ssl_platform.data.loader import Loader
    from ssl_platform.opening import open_data
    from ssl_platform.plan import Plan

    own = {
        "data.fps": options.fps,
        "data.short_side": options.short_side,
        "data.decoder": "pyav",
        "data.decoded": "stored" if kind == "stored" else "none",
    }
    begun = time.process_time()
    if kind == "copies":
        prepare(data=[data], domain="video", out=folder / "prepared", overrides=own)
        print(f"{'':10}prepared in {time.process_time() - begun:.1f} s")
        data, own = folder / "prepared", {}
    found = open_data(configure("pretrain", domain="video", data=[data], overrides={**own, "cache.dir": str(folder)}))
    if kind == "stored":
        print(f"{'':10}decoded once in {time.process_time() - begun:.1f} s")
    domain = found.domain
    window = (options.frames, options.size, options.size)
    for batch in Loader(found.catalog, domain, Plan.single(), window=window, batch_size=BATCH):
        yield batch.reads[0]["main"].data


def with_decord(options: argparse.Namespace) -> Pick:
    """A clip as training code reads it with decord."""
    import av  # noqa: F401 - before decord, whose own libraries get in its way
    import decord

    sizes: dict[Path, tuple[int, int]] = {}

    def pick(path: Path, rng: np.random.Generator) -> np.ndarray:
        if path not in sizes:
            height, width, _ = decord.VideoReader(str(path), num_threads=1)[0].shape
            scale = options.short_side / min(height, width)
            sizes[path] = round(width * scale), round(height * scale)
        width, height = sizes[path]
        video = decord.VideoReader(str(path), width=width, height=height, num_threads=1)
        return np.asarray(video.get_batch(numbers(len(video), video.get_avg_fps(), options, rng)).asnumpy())

    return pick


def with_torchcodec(options: argparse.Namespace) -> Pick:
    """A clip as training code reads it with torchcodec."""
    import torch
    from torch.nn import functional as F
    from torchcodec.decoders import VideoDecoder

    def pick(path: Path, rng: np.random.Generator) -> np.ndarray:
        video = VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode="approximate")
        chosen = numbers(len(video), float(video.metadata.average_fps or 30), options, rng)
        frames = video.get_frames_at(chosen).data.float()
        scale = options.short_side / min(frames.shape[2:])
        frames = F.interpolate(frames, scale_factor=scale, mode="bilinear", antialias=True)
        return frames.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    return pick


def numbers(count: int, rate: float, options: argparse.Namespace, rng: np.random.Generator) -> list[int]:
    """Frames of a random clip."""
    step = rate / options.fps
    start = rng.integers(max(1, count - int(step * options.frames)))
    return [min(count - 1, int(start + step * t)) for t in range(options.frames)]


def theirs(pick: Pick, data: Path, options: argparse.Namespace) -> Iterator[Any]:
    """Batches of random clips, one file after the other in random order."""
    import torch

    rng = np.random.default_rng(0)
    files = sorted(path for path in data.rglob("*") if path.suffix in (".mp4", ".mkv", ".webm", ".avi"))
    while True:
        clips = []
        for path in rng.choice(np.array(files, dtype=object), BATCH):
            frames = pick(path, rng)
            y, x = (int(rng.integers(max(1, n - options.size + 1))) for n in frames.shape[1:3])
            clip = frames[:, y : y + options.size, x : x + options.size]
            clips.append(torch.from_numpy(np.ascontiguousarray(clip.transpose(3, 0, 1, 2))))
        yield torch.stack(clips)


def rate(batches: Iterator[Any], options: argparse.Namespace) -> float:
    """Clips per second of processor time (all decode on one thread), after two batches to warm up."""
    next(batches)
    shape = tuple(next(batches).shape)
    assert shape == (BATCH, 3, options.frames, options.size, options.size), shape
    begun, count = time.process_time(), 0
    while count == 0 or time.process_time() - begun < options.seconds:
        next(batches)
        count += BATCH
    return count / (time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of videos; made when left out")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--short-side", type=int, default=72)
    parser.add_argument("--fps", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = options.data
        if data is None:
            data = folder / "data"
            data.mkdir()
            make_videos(data)
        print(f"clips of {options.frames} frames, {options.size}x{options.size}, a second of processor time")
        others = {}
        for name, make in (("decord", with_decord), ("torchcodec", with_torchcodec)):
            try:
                others[name] = rate(theirs(make(options), data, options), options)
                print(f"{name:10}{others[name]:10.2f}", flush=True)
            except Exception as error:
                print(f"{name:10}not measured: {str(error).strip().splitlines()[0][:90]}")
        for kind in ("none", "copies", "stored"):
            mine = rate(ours(kind, data, folder, options), options)
            ratios = ", ".join(f"{mine / other:.2f}x {name}" for name, other in others.items())
            print(f"{kind:10}{mine:10.2f}   {ratios}", flush=True)


if __name__ == "__main__":
    main()
