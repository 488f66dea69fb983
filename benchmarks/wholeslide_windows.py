"""Tiles per second from slide to batch, beside what is commonly done with OpenSlide, on the same tiles in one run.

    python -m benchmarks.wholeslide_windows [--data FOLDER] [--slides 4] [--side 8192] [--size 224] [--mpp 0.5]

`read_region loop` is the loop of most published pipelines: a list of corners, `read_region` at the level and size asked
for, `convert("RGB")`, resized where no level has the scale, stacked. `opened each time` is the same with the slide
opened for each tile, as datasets that hold paths do. Ours goes through the platform's `Domain.read` and `collate`: once
over the very tiles of the loop, and once over tiles as it places them, moved to cross few stored tiles (`data.align`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.types import Row, Sample, Window

BATCH = 16


def make_slides(folder: Path, count: int, side: int) -> None:
    """Pyramids at 0.25 um a pixel with levels 1, 4 and 16, as 40x scanners write."""
    from ssl_platform_wholeslide.testing import tissue_picture
    from ssl_platform_wholeslide.writing import write_tiff

    rng = np.random.default_rng(0)
    for i in range(count):
        picture = tissue_picture(side, side, i)
        picture += rng.integers(0, 12, picture.shape, dtype=np.uint8)
        write_tiff(folder / f"s{i}.tif", picture, 0.25, (1, 4, 16), tile=240)


Reader = Callable[[Sequence[tuple[Row, Window]]], Any]


def ours(domain: Any) -> Reader:
    """Through the domain, as a reader process does."""
    from ssl_platform.data.collate import collate

    def batch(tiles: Sequence[tuple[Row, Window]]) -> Any:
        samples = [Sample(i, (domain.read(row, window),)) for i, (row, window) in enumerate(tiles)]
        return collate(samples, domain.layout).reads[0]["main"].data

    return batch


def loop(kept: bool) -> Reader:
    """A loop of `read_region`, with open slides kept or each opened for its tile."""
    import openslide
    import torch
    from PIL import Image

    slides: dict[str, Any] = {}

    def tile(row: Row, window: Window) -> np.ndarray:
        slide = slides.get(row.path) or openslide.OpenSlide(row.path)
        if kept:
            slides[row.path] = slide
        step = row.spacing[0] / float(slide.properties["openslide.mpp-x"])
        level = slide.get_best_level_for_downsample(step * 1.01)
        size = round(window.size[0] * step / slide.level_downsamples[level])
        corner = (round(window.start[1] * step), round(window.start[0] * step))
        image = slide.read_region(corner, level, (size, size)).convert("RGB")
        if size != window.size[0]:
            image = image.resize(window.size, Image.Resampling.BILINEAR)
        if not kept:
            slide.close()
        return np.asarray(image)

    def batch(tiles: Sequence[tuple[Row, Window]]) -> Any:
        return torch.stack([torch.from_numpy(tile(*one).copy()).permute(2, 0, 1) for one in tiles]).contiguous()

    return batch


def rates(timed: dict[str, tuple[Reader, list[list[tuple[Row, Window]]]]], rounds: int) -> dict[str, float]:
    """Tiles per second of CPU time: the median over rounds in which all take turns."""
    spent: dict[str, list[float]] = {name: [] for name in timed}
    for reader, batches in timed.values():
        reader(batches[0])
    for i in range(rounds):
        for name, (reader, batches) in timed.items():
            mine = batches[i::rounds]
            begun = time.process_time()
            for tiles in mine:
                reader(tiles)
            spent[name].append((time.process_time() - begun) / sum(map(len, mine)))
    return {name: 1 / float(np.median(seconds)) for name, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of slides; made when left out")
    parser.add_argument("--slides", type=int, default=4)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--mpp", default="0.25,0.5,1.0")
    parser.add_argument("--tiles", type=int, default=480)
    options = parser.parse_args()
    from ssl_platform.data.cache import Cache
    from ssl_platform.data.scan import scan
    from ssl_platform_wholeslide.domain import WholeSlide
    from ssl_platform_wholeslide.options import WholeSlideOptions

    with tempfile.TemporaryDirectory() as temporary:
        data = options.data
        if data is None:
            data = Path(temporary, "slides")
            make_slides(data, options.slides, options.side)
        print(
            f"tiles of {options.size}x{options.size} a second of CPU time, one process; "
            "ratio of ours to it, and on the same tiles"
        )
        for mpp in map(float, options.mpp.split(",")):
            placed = {}
            for align in (False, True):
                domain = WholeSlide(WholeSlideOptions(mpp=mpp, align=align))
                domain.cache = Cache(Path(temporary))
                found = scan([data], domain, folder=Path(temporary), max_bad_fraction=0.9)
                rows, rng = list(found.catalog.rows()), np.random.default_rng(1)
                drawn = [rows[int(i)] for i in rng.integers(len(rows), size=options.tiles)]
                tiles = [(row, domain.place(row, (options.size,) * 2, rng.random(4))) for row in drawn]
                placed[align] = [tiles[i : i + BATCH] for i in range(0, len(tiles), BATCH)]
            timed = {
                "ssl-platform": (ours(domain), placed[True]),
                "ssl-platform, same tiles": (ours(domain), placed[False]),
                "read_region loop": (loop(True), placed[False]),
                "opened each time": (loop(False), placed[False]),
            }
            measured = rates(timed, 5)
            for name, rate in measured.items():
                ratios = (measured[mine] / rate for mine in ("ssl-platform", "ssl-platform, same tiles"))
                words = "" if name.startswith("ssl-platform") else "".join(f"{ratio:9.2f}x" for ratio in ratios)
                print(f"{mpp:5g} um  {name:26}{rate:8.0f}{words}", flush=True)


if __name__ == "__main__":
    main()
