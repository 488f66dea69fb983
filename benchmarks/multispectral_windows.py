"""Windows per second from GeoTIFF to batch, beside torchgeo on the same files in one run.

    python -m benchmarks.multispectral_windows [--data FOLDER] [--scenes 4] [--edge 2048] [--size 64,224] [--workers 0]

Both read random windows of the same scenes straight from the files: ours through the platform's loader (files kept
open, values made reflectance, missing data marked), torchgeo as its tutorials do (`RasterDataset`, `RandomGeoSampler`,
`stack_samples`). torchgeo is timed on scenes of one coordinate system, which it reads without warping, and on scenes of
two zones, which it warps to the first; ours leaves each scene in its own. Last come chips of a file each.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 16
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def make_scenes(folder: Path, count: int, edge: int, zones: tuple[int, ...] = (32633,)) -> Path:
    """Smooth ground with noise, as tiled, compressed Sentinel-2 GeoTIFFs."""
    from ssl_platform_multispectral.fields import write_scene

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(count):
        coarse = rng.normal(2000, 600, (len(BANDS), edge // 64 + 1, edge // 64 + 1)).repeat(64, 1).repeat(64, 2)
        values = coarse[:, :edge, :edge] + rng.normal(0, 60, (len(BANDS), edge, edge))
        tags = {"SENSOR": "Sentinel-2 MSI L2A", "PROCESSING_BASELINE": "05.10", "DATETIME": f"2023-0{n % 9 + 1}-01"}
        corner = (400_000.0 + (edge * 10 + 100) * (n % 20), 5_000_000.0 + (edge * 10 + 100) * (n // 20))
        zone = zones[n % len(zones)]
        write_scene(folder / f"s{n:04d}.tif", values.clip(1, 9999).astype(np.uint16), zone, corner, BANDS, tags=tags)
    return folder


def ours(data: Path, folder: Path, size: int, workers: int) -> Iterator[Any]:
    """Batches from the platform's loader."""
    from ssl_platform.data.loader import Loader
    from ssl_platform.data.scan import scan
    from ssl_platform.plan import Plan
    from ssl_platform_multispectral.domain import Multispectral

    found = scan([data], Multispectral(), folder=folder)
    loader = Loader(found.catalog, found.domain, Plan.single(), window=(size, size), batch_size=BATCH, workers=workers)
    for batch in loader:
        yield batch.reads[0]["main"].data


def torchgeo(data: Path, size: int, workers: int) -> Iterator[Any]:
    """Batches from torchgeo's dataset and sampler."""
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import RandomGeoSampler

    class Scenes(RasterDataset):
        filename_glob = "*.tif"
        all_bands = BANDS

    dataset = Scenes(str(data))
    sampler = RandomGeoSampler(dataset, size=size, length=1_000_000)
    for batch in DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers, collate_fn=stack_samples):
        yield batch["image"]


def rate(batches: Iterator[Any], size: int, seconds: float) -> float:
    """Windows per second, after two batches to warm up."""
    shape = tuple(next(batches).shape)
    assert shape == (BATCH, len(BANDS), size, size), shape
    next(batches)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds or count < 2 * BATCH:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - begun)


def compare(name: str, data: Path, folder: Path, sizes: list[int], workers: int, seconds: float) -> None:
    """Print the rates of both on one set, and their ratio."""
    for size in sizes:
        mine = rate(ours(data, folder, size, workers), size, seconds)
        other = rate(torchgeo(data, size, workers), size, seconds)
        print(f"{name:28}{size:4}^2{mine:14.1f}{other:14.1f}{mine / other:12.1f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="folder of Sentinel-2 GeoTIFFs with the bands above; made when left out"
    )
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--chips", type=int, default=400)
    parser.add_argument("--edge", type=int, default=2048)
    parser.add_argument("--size", default="64,224")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    sizes = list(map(int, options.size.split(",")))
    print(f"windows/s of {len(BANDS)} bands, batches of {BATCH}, {options.workers} workers")
    print(f"{'':34}{'ssl-platform':>14}{'torchgeo':>14}{'ratio':>13}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.data is not None:
            compare(options.data.name, options.data, folder, sizes, options.workers, options.seconds)
            return
        one = make_scenes(folder / "one", options.scenes, options.edge)
        compare("scenes of one zone", one, folder, sizes, options.workers, options.seconds)
        two = make_scenes(folder / "two", options.scenes, options.edge, (32633, 32632))
        compare("scenes of two zones", two, folder, sizes, options.workers, options.seconds)
        chips = make_scenes(folder / "chips", options.chips, 96)
        compare("chips, a file each", chips, folder, [64], options.workers, options.seconds)


if __name__ == "__main__":
    main()
