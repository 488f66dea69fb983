"""Windows per second from the cache, beside MONAI's CacheDataset and PersistentDataset on the same files in one run.

    python -m benchmarks.windows [--data FOLDER] [--volumes 8] [--shape 192,256,256] [--size 48,64,96] [--workers 0]
    python -m benchmarks.windows --layout      how blocks on disk compare with plain order, cold and warm

All three serve batches of random crops of volumes whose orientation and spacing were normalised before: ours from files
mapped into memory, CacheDataset from memory, PersistentDataset from its own files. MONAI's are timed as its tutorials
use them (`RandSpatialCropd` after the cached transforms, its collation); CacheDataset also without the copy of each
whole item that it makes before random transforms (`copy_cache=False`).
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 8


def make_volumes(folder: Path, count: int, shape: tuple[int, ...]) -> None:
    """CT-like noise with a bright body, as int16 NIfTI in LPS orientation."""
    import nibabel as nib

    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    body = sum(axis**2 for axis in axes) < 0.7
    for i in range(count):
        values = np.where(body, 40, -1000) + rng.integers(-100, 100, shape)
        nib.save(nib.Nifti1Image(values.astype(np.int16), np.diag([-1, -1, 1, 1])), folder / f"v{i:02d}.nii.gz")


def ours(data: Path, folder: Path, size: int, workers: int) -> Iterator[Any]:
    """Batches from the platform's loader."""
    from ssl_platform.data.cache import Cache
    from ssl_platform.data.loader import Loader
    from ssl_platform.data.scan import scan
    from ssl_platform.plan import Plan
    from ssl_platform_medical3d.domain import Medical3D

    found = scan([data], Medical3D(), folder=folder)
    found.domain.cache = Cache(folder)
    for row in found.catalog.rows():
        found.domain.cache.open(row, found.domain)
    loader = Loader(found.catalog, found.domain, Plan.single(), window=(size,) * 3, batch_size=BATCH, workers=workers)
    for batch in loader:
        yield batch.reads[0]["main"].data


def monai(kind: str, data: Path, folder: Path, size: int, workers: int) -> Iterator[Any]:
    """Batches from one of MONAI's datasets."""
    import torch
    from monai import transforms as mt
    from monai.data import CacheDataset, DataLoader, PersistentDataset

    spacing = mt.Spacingd("image", (1.0, 1.0, 1.0))
    fixed = [mt.LoadImaged("image"), mt.EnsureChannelFirstd("image"), mt.Orientationd("image", "RAS"), spacing]
    crop = mt.RandSpatialCropd("image", (size,) * 3, random_size=False)
    transform = mt.Compose([*fixed, mt.SpatialPadd("image", (size,) * 3), crop])
    items = [{"image": str(file)} for file in sorted(data.rglob("*.nii*"))]
    if kind == "PersistentDataset":
        dataset: Any = PersistentDataset(items, transform, cache_dir=folder / "monai")
        for i in range(len(items)):
            dataset[i]
    else:
        dataset = CacheDataset(items, transform, progress=False, copy_cache="without copies" not in kind)
    for epoch in itertools.count():
        generator = torch.Generator().manual_seed(epoch)
        sampler = torch.utils.data.RandomSampler(items, replacement=True, num_samples=BATCH * 8, generator=generator)
        for batch in DataLoader(dataset, batch_size=BATCH, sampler=sampler, num_workers=workers):
            yield batch["image"]


def rate(batches: Iterator[Any], size: int, seconds: float) -> float:
    """Windows per second, after two batches to warm up."""
    shape = tuple(next(batches).shape)
    assert shape == (BATCH, 1, size, size, size), shape
    next(batches)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds or count < 2 * BATCH:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - begun)


def compare(data: Path, folder: Path, sizes: list[int], workers: int, seconds: float) -> None:
    """Print one table of rates and ratios."""
    kinds = ("PersistentDataset", "CacheDataset", "CacheDataset without copies")
    print(f"windows/s, batches of {BATCH}, {workers} workers" + " " * 16 + "ratio of ours to it")
    for size in sizes:
        mine = rate(ours(data, folder, size, workers), size, seconds)
        print(f"{size}^3  {'ssl-platform':32}{mine:10.1f}", flush=True)
        for kind in kinds:
            other = rate(monai(kind, data, folder, size, workers), size, seconds)
            print(f"{size}^3  MONAI {kind:26}{other:10.1f}{mine / other:10.1f}x", flush=True)


def layouts(folder: Path, edge: int) -> None:
    """Milliseconds and MB read for a window of an int16 volume stored in plain order and in blocks."""
    from ssl_platform.data import blocks, entry
    from ssl_platform.data.prepared import Prepared
    from ssl_platform.data.window import read_window
    from ssl_platform.types import Layout, Row, Window

    def bytes_read() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))

    layout, row = Layout(axes="C D H W"), Row("v", "/v", (edge,) * 3)
    volume = np.random.default_rng(0).integers(-1000, 1000, (1, edge, edge, edge), dtype=np.int16)
    small = blocks.SMALL_BYTES
    for name, limit in (("plain order", 1 << 62), ("blocks of 32^3", small)):
        blocks.SMALL_BYTES, path = limit, folder / f"{limit}.item"
        entry.write_entry(path, Prepared(volume, channels=("ct",)), "/v")
        for size in (48, 64, 96):
            starts = np.random.default_rng(1).integers(0, edge - size, (20, 3)).tolist()
            windows = [Window(tuple(start), (size,) * 3) for start in starts]
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            item, spent, before = entry.open_entry(path), [], bytes_read()
            for _ in range(2):
                begun = time.perf_counter()
                for window in windows:
                    read_window(item, row, window, layout)
                spent.append((time.perf_counter() - begun) / len(windows) * 1e3)
            read = (bytes_read() - before) / len(windows) / 1e6
            print(f"{edge}^3 {name:15} {size}^3: cold {spent[0]:6.2f} ms, {read:5.2f} MB read; warm {spent[1]:5.2f} ms")
            del item
    blocks.SMALL_BYTES = small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of NIfTI files; made when left out")
    parser.add_argument("--volumes", type=int, default=8)
    parser.add_argument("--shape", default="192,256,256")
    parser.add_argument("--size", default="48,64,96")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--layout", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.layout:
            layouts(folder, 512)
            return
        data = options.data
        if data is None:
            data = folder / "data"
            data.mkdir()
            make_volumes(data, options.volumes, tuple(map(int, options.shape.split(","))))
        compare(data, folder, list(map(int, options.size.split(","))), options.workers, options.seconds)


if __name__ == "__main__":
    main()
