"""Windows of point clouds per second from storage to batch, and groups of points, beside what is used today.

    python -m benchmarks.pointcloud_windows [--objects 64] [--points 200000] [--seconds 3] [--device cpu]

Windows of 1024 points: ours through the cache and the loader, beside a dataset that opens each file for each window, as
common point-cloud projects do: trimesh for PLY objects (points drawn at random, into the unit sphere), laspy for LAZ
tiles (the 1024 points nearest to a random one, of the tile thinned alike). `in memory` keeps the loaded arrays of all
items and only draws: the most memory can buy.

Groups: farthest-point sampling and nearest neighbours as public pure-PyTorch code writes them (a random first point,
rows of points, squared distances by expanding the square), beside ours; the same points, the same device.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

BATCH, WINDOW = 32, 1024


# ------------------------------------------------------------------------------------------------------------- windows
def make_objects(folder: Path, count: int) -> None:
    """Objects of 2048 to 8192 points with colours, as binary PLY."""
    from ssl_platform_pointcloud.shapes import CLASSES, draw_shape, scan
    from ssl_platform_pointcloud.writers import write_ply

    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        found = scan(draw_shape(list(CLASSES)[i % 4], rng), int(rng.integers(2048, 8192)), rng)
        colours = dict(zip(("red", "green", "blue"), found.colours.T, strict=True))
        write_ply(folder / f"{i:03d}.ply", found.xyz, colours)


def make_tiles(folder: Path, points: int, count: int = 4) -> None:
    """Rolling ground with houses, as LAZ."""
    from ssl_platform_pointcloud.writers import write_las

    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        x, y = rng.uniform(0, 400, (2, points))
        ground = 4 * np.sin(x / 40) + 3 * np.cos(y / 55)
        house = (np.sin(x / 9) > 0.7) & (np.cos(y / 11) > 0.7)
        xyz = np.stack([x + 512_000, y + 5_403_000, ground + 6 * house + rng.normal(0, 0.05, points)], 1)
        write_las(folder / f"{i}.laz", xyz, {"intensity": rng.integers(0, 999, points).astype(np.uint16)}, metres=1.0)


def ours(data: Path, folder: Path) -> Iterator[Tensor]:
    """Batches from the platform's loader."""
    from ssl_platform.data.cache import Cache
    from ssl_platform.data.loader import Loader
    from ssl_platform.data.scan import scan
    from ssl_platform.plan import Plan
    from ssl_platform_pointcloud.domain import PointCloud

    found = scan([data], PointCloud(), folder=folder)
    found.domain.cache = Cache(folder)
    for row in found.catalog.rows():
        found.domain.cache.open(row, found.domain)
    for batch in Loader(found.catalog, found.domain, Plan.single(), window=(WINDOW,), batch_size=BATCH, workers=0):
        yield batch.reads[0]["main"].data


def today(data: Path, thin: int, keep: bool) -> Iterator[Tensor]:
    """Batches of a dataset that opens files, or that keeps what it opened."""
    files, kept = sorted(data.iterdir()), dict[Path, np.ndarray]()
    rng = np.random.default_rng(0)
    while True:
        batch = []
        for _ in range(BATCH):
            file = files[int(rng.integers(len(files)))]
            table = kept[file] if file in kept else _load(file)
            if keep:
                kept[file] = table
            batch.append(_region(table, thin, rng) if thin else _sphere(table, rng))
        yield torch.from_numpy(np.stack(batch).astype(np.float32))


def _load(file: Path) -> np.ndarray:
    if file.suffix == ".laz":
        import laspy

        cloud = laspy.read(file)
        return np.stack([cloud.x, cloud.y, cloud.z, cloud.intensity], axis=1)
    import trimesh

    cloud = trimesh.load(file)
    return np.concatenate([np.asarray(cloud.vertices), np.asarray(cloud.colors)[:, :3] / 255], axis=1)


def _sphere(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    chosen = table[rng.permutation(len(table))[:WINDOW]].copy()
    chosen[:, :3] -= chosen[:, :3].mean(axis=0)
    chosen[:, :3] /= np.linalg.norm(chosen[:, :3], axis=1).max()
    return chosen


def _region(table: np.ndarray, thin: int, rng: np.random.Generator) -> np.ndarray:
    thinned = table[int(rng.integers(thin)) :: thin]
    centre = thinned[int(rng.integers(len(thinned))), :3]
    apart = np.square(thinned[:, :3] - centre).sum(axis=1)
    chosen = thinned[np.argpartition(apart, WINDOW)[:WINDOW]].copy()
    chosen[:, :3] -= centre
    return chosen


def rate(batches: Iterator[Tensor], seconds: float) -> float:
    """Windows per second, after two batches to warm up."""
    shape = tuple(next(batches).shape)
    assert shape[:2] == (BATCH, WINDOW), shape
    next(batches)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds or count < 2 * BATCH:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - begun)


# -------------------------------------------------------------------------------------------------------------- groups
def plain_groups(xyz: Tensor, groups: int, size: int) -> Tensor:
    """`[B, G, k]` as public code writes it: a loop over centres that starts anywhere, neighbours by expansion."""
    b, n, _ = xyz.shape
    rows = torch.arange(b, device=xyz.device)
    nearest = torch.full((b, n), 1e10, device=xyz.device)
    last = torch.randint(0, n, (b,), device=xyz.device)
    chosen = torch.zeros(b, groups, dtype=torch.long, device=xyz.device)
    for i in range(groups):
        chosen[:, i] = last
        apart = ((xyz - xyz[rows, last][:, None]) ** 2).sum(-1)
        nearest = torch.where(apart < nearest, apart, nearest)
        last = nearest.max(-1)[1]
    centre = xyz[rows[:, None], chosen]
    square = -2 * centre @ xyz.transpose(1, 2) + (centre**2).sum(-1)[:, :, None] + (xyz**2).sum(-1)[:, None]
    return square.topk(size, dim=-1, largest=False)[1]


def seconds_of(call: Callable[[], Any], device: str, rounds: int = 5) -> float:
    """Median time of a call, after one to warm up."""
    spent = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


def compare_groups(device: str) -> None:
    """Print milliseconds of both sides for the sizes of Point-MAE, of dense objects and of scenes."""
    from ssl_platform.nn.point_groups import group_points

    print(f"groups on {device}: sets x points, groups x members     ours ms   plain ms    ratio")
    for b, n, groups, size in ((32, 1024, 64, 32), (32, 2048, 512, 16), (8, 8192, 512, 32)):
        xyz = torch.randn(b, n, 3, generator=torch.Generator().manual_seed(0)).to(device)
        mine = seconds_of(lambda x=xyz, g=groups, k=size: group_points(x, g, k), device) * 1e3
        other = seconds_of(lambda x=xyz, g=groups, k=size: plain_groups(x, g, k), device) * 1e3
        print(
            f"  {b} x {n}, {groups} x {size}".ljust(52) + f"{mine:10.1f} {other:10.1f} {other / mine:7.1f}x", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=64)
    parser.add_argument("--points", type=int, default=200_000, help="of a LAZ tile")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_objects(folder / "objects", options.objects)
        make_tiles(folder / "tiles", options.points)
        thin = max(1, round(options.points / (16 * WINDOW)))
        print(
            f"windows/s of {WINDOW} points, batches of {BATCH}, no workers      ours   opens files    ratio   in memory"
        )
        for name, step in (("objects", 0), ("tiles", thin)):
            mine = rate(ours(folder / name, folder / f"cache-{name}"), options.seconds)
            others = [rate(today(folder / name, step, keep), options.seconds) for keep in (False, True)]
            what = "PLY objects, trimesh" if not step else f"LAZ tiles of {options.points:,}, laspy"
            print(
                f"  {what:54}{mine:8.0f} {others[0]:12.1f} {mine / others[0]:8.1f}x {mine / others[1]:8.1f}x",
                flush=True,
            )
    compare_groups(options.device)


if __name__ == "__main__":
    main()
