"""A small domain over `.npy` arrays, for the tests of the platform and of whoever extends it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ssl_platform.data.prepared import Prepared
from ssl_platform.data.window import place_foreground
from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.errors import Misfit, Unreadable
from ssl_platform.types import Channel, Layout, Row, Window

_HEADERS = threading.Lock()  # numpy parses headers with `ast`, whose state Python 3.11 shares among threads


class ToyOptions(DomainOptions):
    """Settings of the toy domain."""

    scale: float = 1.0
    foreground: float = 0.0


class ToyDomain(Domain):
    """Volumes `[D, H, W]`, or `[C, D, H, W]` with channels `c0, c1, ...`, as `.npy` files; a spacing of 2 mm.

    A file called `GROUP__rest.npy` belongs to `GROUP`. Cells above the mean are foreground.
    """

    name = "toy"
    layout = Layout(
        axes="C D H W",
        channels=(Channel("c0"),),
        unit="mm",
        symmetries=frozenset({"flip:W", "gain"}),
        moves=frozenset({"rot90:HW"}),
        fill=-1.0,
        meta=("brightness",),
    )
    suffixes = (".npy",)
    tasks = ("classification", "regression", "segmentation")
    Options: ClassVar[type[DomainOptions]] = ToyOptions
    window: ClassVar[tuple[int, ...]] = (16, 16, 16)
    patch: ClassVar[tuple[int, ...]] = (4, 4, 4)

    def scan(self, path: Path) -> Iterable[Row]:
        """One row a file, from its header."""
        try:
            with _HEADERS:
                stored = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise Unreadable(f"no .npy file: {error}") from error
        rank = self.layout.rank
        several = stored.ndim == rank + 1
        channels = tuple(f"c{i}" for i in range(stored.shape[0] if several else 1))
        yield Row(
            id=path.name,
            path=str(path),
            shape=stored.shape[1:] if several else stored.shape,
            spacing=(2.0,) * rank,
            channels=channels,
            dtype=stored.dtype.name,
            group=path.name.partition("__")[0] if "__" in path.name else None,
            meta={"brightness": float(len(path.name))},
        )

    def prepare(self, row: Row) -> Prepared:
        """The array, scaled by `data.scale`."""
        try:
            data = np.load(row.path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise Unreadable(f"no .npy file: {error}") from error
        data = data.reshape(len(row.channels), *row.shape)
        if self.options.scale != 1.0:
            data = (data * self.options.scale).astype(data.dtype)
        with np.errstate(invalid="ignore"):
            bright = np.argwhere(data[0] > np.nanmean(data[0]))[:4096]
        return Prepared(data, row.spacing, row.channels, foreground=bright, geometry={"origin": np.zeros(3)})

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """Uniform, or on the foreground with the probability `data.foreground`."""
        probability = float(self.options.foreground)
        cells = self.cache.open(row, self).foreground if probability and self.cache else None
        return place_foreground(cells, row, size, uniforms, probability)

    def read_mask(self, row: Row, path: Path, resample: bool = False) -> np.ndarray:
        """A `.npy` file of whole numbers in the item's shape."""
        labels = np.load(path, allow_pickle=False)
        if labels.shape != tuple(row.shape):
            raise Misfit(f"mask {path.name} has shape {labels.shape}, its image has {tuple(row.shape)}")
        return np.asarray(labels, dtype=np.int16)

    def write_prediction(self, row: Row, prediction: np.ndarray, path: Path) -> Path:
        """A `.npy` file."""
        np.save(path, prediction)
        return path

    def prepare_key(self) -> Mapping[str, Any]:
        """Where foreground windows lie does not change the stored item."""
        return {"scale": self.options.scale, "version": 1}

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """Eight items of two classes (a ball, a box) of equal mean, and their manifest."""
        folder.mkdir(parents=True, exist_ok=True)
        rng, rank = np.random.default_rng(seed), self.layout.rank
        lines = ["path,label"]
        for i in range(8):
            cells = np.indices((24,) * rank) - rng.integers(9, 15, (rank, *[1] * rank))
            inside = (cells**2).sum(0) < 36 if i % 2 else np.abs(cells).max(0) < 5
            values = rng.normal(size=inside.shape) + inside
            np.save(folder / f"item{i}.npy", (values - values.mean()).astype(np.float32))
            lines.append(f"item{i}.npy,{'ball' if i % 2 else 'box'}")
        manifest = folder / "manifest.csv"
        manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return manifest


class ToyImages(ToyDomain):
    """Images `[H, W]` or `[C, H, W]` as `.npy` files; batches pad unlike channel sets."""

    name = "toy-images"
    layout = Layout(
        axes="C H W",
        unit="mm",
        symmetries=frozenset({"flip:W", "gain"}),
        fill=-1.0,
        ragged_channels=True,
        meta=("brightness",),
    )
    window: ClassVar[tuple[int, ...]] = (16, 16)
    patch: ClassVar[tuple[int, ...]] = (4, 4)
