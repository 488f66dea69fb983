"""How an index of many small files behaves: seconds and memory of a first scan, of a re-scan, and of use.

    python -m benchmarks.index [--files 100000]

Files are made in a temporary folder (0.3 KB of distinct content each) and removed again. Memory is what the scan adds
to the resident size of the process (peak), each stage in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDERS = 100


def make_files(folder: Path, count: int) -> None:
    """Write `count` small volumes in 100 folders."""
    values = np.arange(4 * 4 * 4, dtype=np.int16).reshape(4, 4, 4)
    for i in range(count):
        place = folder / f"site{i % FOLDERS:03d}"
        if i < FOLDERS:
            place.mkdir(parents=True)
        np.save(place / f"scan{i:06d}.npy", values + np.int16(i % 30000))


def resident() -> float:
    """Resident size of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak() -> float:
    """Largest resident size of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def first_scan(data: Path, cache: Path) -> dict[str, float]:
    """Scan, with what it adds to memory."""
    from ssl_platform.data.scan import scan
    from ssl_platform.testing.toy_domain import ToyDomain

    before, begun = resident(), time.perf_counter()
    found = scan([data], ToyDomain(), folder=cache)
    return {
        "seconds": time.perf_counter() - begun,
        "peak_mb": peak() - before,
        "items": len(found.catalog),
        "read": found.read,
        "reused": found.reused,
    }


def touched(data: Path, cache: Path) -> dict[str, float]:
    """Scan again after one file in a thousand changed."""
    for file in sorted(data.rglob("*.npy"))[::1000]:
        np.save(file, np.zeros((4, 4, 4), np.int16))
    return first_scan(data, cache)


def use(data: Path, cache: Path) -> dict[str, float]:
    """Open the catalog, name its content, and look up a thousand rows in the order of training."""
    from ssl_platform.data.catalog import Catalog
    from ssl_platform.data.schedule import Schedule

    before, begun = resident(), time.perf_counter()
    catalog = Catalog.open(next((cache / "catalogs").glob("*.arrow")))
    opened = time.perf_counter() - begun
    schedule = Schedule(catalog, 10, 0)
    begun = time.perf_counter()
    for m in range(100):
        for row in schedule.at(m).places.row:
            catalog.row(int(row))
    return {"open_seconds": opened, "row_microseconds": (time.perf_counter() - begun) * 1e3, "peak_mb": peak() - before}


def _stage(
    stage: Callable[[Path, Path], dict[str, float]], data: Path, cache: Path, queue: multiprocessing.Queue
) -> None:
    queue.put(stage(data, cache))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    count = parser.parse_args().files
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder, "data"), Path(folder, "cache")
        begun = time.perf_counter()
        make_files(data, count)
        print(f"{count} files made in {time.perf_counter() - begun:.0f} s")
        results = {}
        stages = {
            "first scan": first_scan,
            "re-scan, nothing changed": first_scan,
            "re-scan, 1 in 1000 changed": touched,
        }
        for name, stage in {**stages, "use": use}.items():
            queue = context.Queue()
            process = context.Process(target=_stage, args=(stage, data, cache, queue))
            process.start()
            results[name] = queue.get()
            process.join()
            print(name, json.dumps({k: round(v, 3) for k, v in results[name].items()}), flush=True)
        size = sum(f.stat().st_size for f in (cache / "catalogs").iterdir())
        print(f"catalog on disk: {size / 1e6:.1f} MB, {size / count:.0f} bytes an item")


if __name__ == "__main__":
    main()
