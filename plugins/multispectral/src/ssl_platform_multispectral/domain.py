"""Multispectral and radar scenes of the earth, from the files that agencies and archives deliver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ssl_platform.data.shards.packing import Packed
from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.errors import DataError
from ssl_platform.plan import Reads
from ssl_platform.types import Layout, Part, Row, Window
from ssl_platform_multispectral.find import SUFFIXES, find
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.registry import channels_named, known_channels

if TYPE_CHECKING:
    from ssl_platform.data.box import Box
    from ssl_platform.data.catalog import Catalog
    from ssl_platform.data.shards.held import Located
    from ssl_platform.views.operation import Operation
    from ssl_platform_multispectral.place import Neighbourhood

# Seen from above no direction is special but the sun's, which changes with the hour.
SYMMETRIES = (
    "flip:H",
    "flip:W",
    "rot90:HW",
    "rotate:HW",
    "scale",
    "gain",
    "gamma",
    "blur",
    "noise",
    "channel-drop",
    "cutout",
)
MOVES = ("rot90:HW", "flip:H", "flip:W", "shuffle")
RELATIONS = ("same", "overlap", "place")
META = ("lon", "lat", "year", "day")
_MOVED = 4096  # rows whose files were looked up, kept


class Multispectral(Domain):
    """Scenes of any bands on a grid H, W, north up, spacing in m; values are reflectance, K, dB or brightness.

    Every scene stays in its own coordinate system; windows are read straight from the files.
    """

    name = "multispectral"
    layout: ClassVar[Layout] = Layout(
        axes="C H W",
        channels=known_channels(),
        unit="m",
        symmetries=frozenset(SYMMETRIES),
        moves=frozenset(MOVES),
        meta=META,
        relations=RELATIONS,
    )
    suffixes = SUFFIXES
    Options: ClassVar[type[DomainOptions]] = MultispectralOptions
    columns: ClassVar[Mapping[str, type]] = {"bands": str, "sensor": str, "baseline": str, "nodata": str}
    tasks = ("classification", "multi-label", "regression", "segmentation", "retrieval", "fewshot")
    window = (64, 64)
    patch = (8, 8)
    packed_words = "tiled, compressed GeoTIFFs"

    def __init__(self, options: DomainOptions | None = None) -> None:
        super().__init__(options)
        own = channels_named(self.options.bands) if self.options.bands != "auto" else ()
        if own or self.options.pad_bands is True:
            channels, padded = (*type(self).layout.channels, *own), self.options.pad_bands is True
            self.layout = replace(type(self).layout, channels=channels, ragged_channels=padded)  # type: ignore[misc]
        self._catalog: Catalog | None = None
        self._neighbourhood: Neighbourhood | None = None
        self._moved: dict[str, Row] = {}

    # -------------------------------------------------------------------------------------------------------- catalog
    def find(self, root: Path) -> Iterator[Path]:
        """Raster files, product folders and folders with one file a band under `root`."""
        return find(root)

    def scan(self, path: Path) -> Iterable[Row]:
        """A row for each scene of a file or folder, or for each tile of a large one; `fit` names its bands.

        Raises:
            Aside: the file is a label raster or a quality layer.
            Unreadable: the file cannot be used, or some scene of the folder cannot (after the rows of the others).
        """
        from ssl_platform_multispectral.items import rows_of

        return rows_of(path, self.options)

    def fit(self, row: Row) -> Row:
        """The row with bands, scale and grid settled under the options and the columns bands, sensor, baseline, nodata.

        Raises:
            Unreadable: a band, its scale or the size of a cell is not known; names the key that settles it.
        """
        from ssl_platform_multispectral.fitting import fit

        return fit(row, self.options)

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """Cell size and padding where they are `auto`, and which rules for values and missing data apply."""
        from ssl_platform_multispectral.settle import settle

        return settle(rows, self.options)

    def group(self, row: Row) -> tuple[str | None, str]:
        """The square of ground a scene's middle lies in (`data.block`), whatever the time; None without a place."""
        from ssl_platform_multispectral.grid import block

        lon, lat = row.meta.get("lon"), row.meta.get("lat")
        rule = f"spatial block of {self.options.block:g} km"
        if lon is None or lat is None:
            return None, rule
        return f"block {block(float(lon), float(lat), self.options.block)}", rule

    def verify(self, row: Row) -> Mapping[str, float]:
        """Read a scene to its end, box by box."""
        from ssl_platform_multispectral.through import read_through

        return read_through(self.located(row))

    # ---------------------------------------------------------------------------------------------------------- shards
    def sources(self, row: Row) -> tuple[str, ...]:
        """The files of its scene."""
        from ssl_platform_multispectral.packing import files_of

        return files_of(row)

    def pack(self, row: Row, files: Sequence[str], scratch: Path, exact: bool = False) -> Packed:
        """Files as tiled, compressed GeoTIFFs with all their overviews and masks; no value changes."""
        from ssl_platform_multispectral.packing import pack

        return pack(row, files, scratch)

    def within(self, located: Located, path: str) -> str:
        """A part of a shard as GDAL opens it; nothing is copied."""
        from ssl_platform_multispectral.handles import within

        return within(located.file, located.offset, located.length)

    def located(self, row: Row) -> Row:
        """The row with the files its scene is read from now."""
        if self.cache is None or self.cache.shards is None:
            return row
        if row.id not in self._moved:
            from ssl_platform_multispectral.packing import moved

            if len(self._moved) >= _MOVED:
                self._moved.clear()
            self._moved[row.id] = moved(row, {path: self.opened_at(path) for path in self.sources(row)})
        return self._moved[row.id]

    # -------------------------------------------------------------------------------------------------------- windows
    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """The bands of one window, float32 in physical units."""
        from ssl_platform_multispectral.read import read

        return {"main": read(self.located(row), window, self.layout.fill)}

    def among(self, catalog: Catalog) -> Domain:
        """A copy that knows which scenes of the catalog share ground."""
        copy = type(self)(self.options)
        copy.cache, copy._catalog = self.cache, catalog
        return copy

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_neighbourhood": None, "_moved": {}}

    def _neighbours(self) -> Neighbourhood | None:
        """Found when first needed: only runs that draw windows pay for it."""
        if self._neighbourhood is None and self._catalog is not None:
            from ssl_platform_multispectral.place import Neighbourhood

            self._neighbourhood = Neighbourhood(self._catalog)
        return self._neighbourhood

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """A window with data (`data.min_valid`), on ground that no other scene of that day gives (`data.revisit`)."""
        from ssl_platform_multispectral.place import place

        near = None if self.options.revisit else self._neighbours()
        taken = near.taken.get(row.id, ()) if near is not None else ()
        return place(self.located(row), size, uniforms, self.options.min_valid, taken)

    def related(
        self, row: Row, reads: Reads, size: Sequence[int], uniforms: np.ndarray
    ) -> Sequence[tuple[Row, Window]]:
        """As usual; `place` adds the same ground at other times, and the same window where no other time is known.

        Raises:
            DataError: `place` is asked for and no place of the set was seen twice.
        """
        near = self._neighbours() if reads.relation == "place" else None
        if near is None or reads.count == 1:
            return super().related(row, reads, size, uniforms)
        from ssl_platform_multispectral.place import check_places

        assert self._catalog is not None
        check_places(self._catalog, near)
        first = self.place(row, size, uniforms[0])
        return [(row, first), *near.elsewhen(row, first, reads.count - 1, uniforms[1:, -1], size)]

    def label_box(self, row: Row, box: Box) -> Box:
        """None: bands of unlike cells, and tiles of a large scene, have no pixels in common that a table could count.

        Raises:
            DataError: always.
        """
        raise DataError("domain 'multispectral' takes no labels of windows: cut them out as files of their own")

    def views(self) -> Sequence[Operation]:
        """Spectral jitter, clouds and speckle."""
        from ssl_platform_multispectral.views import operations

        return operations()

    # ----------------------------------------------------------------------------------------------- values and results
    def checks(self, row: Row, facts: Mapping[str, float]) -> str | None:
        """Why the values cannot be what they are said to be: scaled twice, or not at all."""
        from ssl_platform_multispectral.checks import absurd

        return absurd(row, facts)

    def unlike(self, facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        """Scenes whose brightness is far from the set's."""
        from ssl_platform_multispectral.checks import unlike_set

        return unlike_set(facts)

    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """True colour where there is any."""
        from ssl_platform_multispectral.render import render

        return render(x, channels, {channel.name: channel.wavelength for channel in self.layout.channels})

    def read_mask(self, row: Row, path: Path, resample: bool = False) -> np.ndarray:
        """A label raster in the item's grid, joined through coordinates."""
        from ssl_platform_multispectral.masks import read_mask

        return read_mask(row, path, resample)

    def write_prediction(self, row: Row, prediction: np.ndarray, path: Path) -> Path:
        """A GeoTIFF in the scene's coordinate system."""
        from ssl_platform_multispectral.masks import write_prediction

        return write_prediction(row, prediction, path)

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """180 labelled scenes of fields at two times, as Sentinel-2 GeoTIFFs with label rasters; written once."""
        from ssl_platform_multispectral.fields import write_sample_set

        return write_sample_set(folder, seed)
