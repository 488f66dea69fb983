"""Views per second of two augmented crops, against MONAI's dictionary transforms, in one run.

Both sides make two views of every window: a random crop at a random scale resized to the view's size, flips, optionally
a rotation, Gaussian blur, contrast (gamma) and Gaussian noise. Every operation is applied to every view, from the same
ranges. Rotation is measured twice: about all axes (a 3-D resample on both sides) and about one axis.

Windows are as large as a view, or as its rotation needs (`ViewMaker.read_size`), the same on both sides. MONAI gets
them as float tensors in memory, one after the other, as its loaders hand them over; the maker gets batches in storage
type (int16) and its time includes their conversion. Both sides may use the same threads. Rounds of the two sides
alternate; the ratio is that of the medians, that of the best rounds is printed too.

    python benchmarks/views.py                            # CPU, 64^3 and 96^3 views
    python benchmarks/views.py --device cuda --batch 32   # MONAI's tensors live on the GPU as well
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandSpatialCropd,
    Resized,
)

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Batch, Channel, Layout, PartBatch
from ssl_platform.views.intensity import Blur, Gamma, Noise
from ssl_platform.views.maker import ViewMaker

DEGREES = 15.0
SIDE = (0.75, 1.0)  # of the window, along each axis
SIGMA = (0.3, 1.0)
LOG_GAMMA = 0.35
NOISE = 0.1  # of the values' spread
SPREAD = 300.0
CASES = {"axis-aligned": (), "rotate one axis": ("HW",), "rotate all axes": ("HW", "DW", "DH")}


def maker_of(size: int, planes: tuple[str, ...]) -> ViewMaker:
    """Our maker with every operation always on."""
    symmetries = {"flip:D", "flip:H", "flip:W", "scale", "blur", "gamma", "noise", *(f"rotate:{p}" for p in planes)}
    layout = Layout("C D H W", (Channel("ct", "HU"),), "mm", symmetries=frozenset(symmetries))
    plan = Plan(views=(ViewSpec(count=2, scale=(SIDE[0] ** 3, SIDE[1] ** 3)),))
    maker = ViewMaker(layout, plan, ViewsConfig(rotate=DEGREES if planes else 0.0), window=(size,) * 3)
    always = (Gamma(probability=1.0, log_range=LOG_GAMMA), Noise(probability=1.0, limit=NOISE))
    blur = Blur(probability=1.0, low=SIGMA[0], high=SIGMA[1])
    maker.photometry = replace(maker.photometry, generic=always, blur=blur)
    return maker


def maker_side(maker: ViewMaker, windows: torch.Tensor) -> Callable[[], object]:
    """Our views of all windows, as one batch."""
    count, device = len(windows), windows.device
    index = torch.arange(count, device=device)
    ones, zeros = torch.ones(count, 3, device=device), torch.zeros(count, 3, device=device)
    part = PartBatch(windows.to(torch.int16), None, None, ones, zeros, channels=("ct",))
    batch = Batch(({"main": part},), index, index, index)

    def run() -> object:
        batch.position = batch.position + count
        return [view.x for view in maker(batch)]

    return run


def monai_side(size: int, planes: tuple[str, ...], windows: torch.Tensor) -> Callable[[], object]:
    """MONAI's views of all windows, one after the other."""
    keys = ["image"]
    least, angle = round(size * SIDE[0]), math.radians(DEGREES)
    turn = {"HW": "range_x", "DW": "range_y", "DH": "range_z"}
    steps = [RandSpatialCropd(keys, roi_size=least, max_roi_size=size, random_center=True, random_size=True)]
    steps += [Resized(keys, spatial_size=(size,) * 3, mode="trilinear")]
    steps += [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)]
    if planes:
        ranges = {turn[p]: (-angle, angle) for p in planes}
        steps += [RandRotated(keys, prob=1.0, mode="bilinear", padding_mode="border", keep_size=True, **ranges)]
    steps += [RandGaussianSmoothd(keys, sigma_x=SIGMA, sigma_y=SIGMA, sigma_z=SIGMA, prob=1.0)]
    steps += [RandAdjustContrastd(keys, prob=1.0, gamma=(math.exp(-LOG_GAMMA), math.exp(LOG_GAMMA)))]
    steps += [RandGaussianNoised(keys, prob=1.0, std=NOISE * SPREAD)]
    transform = Compose(steps).set_random_state(seed=0)
    items = [{"image": window} for window in windows]
    return lambda: [transform(item) for item in items for _ in range(2)]


def measure(sides: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each round, the sides taking turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, run in sides.items():
            _wait(device)
            start = time.perf_counter()
            run()
            _wait(device)
            if round_:  # the first warms up
                times[name].append(time.perf_counter() - start)
    return times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description="views per second against MONAI's dictionary transforms")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--json", help="also write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{device.type} ({name}), {arguments.threads} threads, batch {arguments.batch}, torch {torch.__version__}")
    print(f"{'size':>5}  {'case':<16} {'ours views/s':>12} {'MONAI views/s':>13} {'ratio':>6} {'ratio of best':>13}")
    figures = []
    for size in arguments.sizes:
        generator = np.random.default_rng(0)
        for case, planes in CASES.items():
            maker = maker_of(size, planes)
            shape = (arguments.batch, 1, *maker.read_size)
            windows = torch.from_numpy(generator.normal(0, SPREAD, shape).astype(np.float32)).to(device)
            sides = {"ours": maker_side(maker, windows), "monai": monai_side(size, planes, windows)}
            times = measure(sides, arguments.rounds, device)
            views = 2 * arguments.batch
            speed = {side: views / statistics.median(t) for side, t in times.items()}
            best = min(times["monai"]) / min(times["ours"])
            ratio = speed["ours"] / speed["monai"]
            print(f"{size:>4}³  {case:<16} {speed['ours']:>12.1f} {speed['monai']:>13.1f} {ratio:>6.2f} {best:>13.2f}")
            figures.append({"size": size, "case": case, **speed, "ratio": ratio, "ratio_of_best": best})
    if arguments.json:
        found = {"device": str(device), "threads": arguments.threads, "figures": figures}
        Path(arguments.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
