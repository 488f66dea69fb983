"""Point clouds: objects, depth frames and laser scans, from the files scanners and toolkits write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.errors import DataError
from ssl_platform.types import Channel, Layout, Part, Row, Window
from ssl_platform_pointcloud import items
from ssl_platform_pointcloud.options import PointCloudOptions
from ssl_platform_pointcloud.readers import SUFFIXES, TEXT_SUFFIXES

if TYPE_CHECKING:
    from ssl_platform.data.prepared import Prepared
    from ssl_platform.views.operation import Operation

# Mirror images are left out: shoes, screws and gloves have hands.
SYMMETRIES = ("rotate:XY", "scale", "noise", "cutout")
ALL_PLANES = ("rotate:XZ", "rotate:YZ")
CHANNELS = (
    *(Channel(name, "m") for name in ("x", "y", "z")),
    *(Channel(name, bounds=(0.0, 1.0)) for name in ("red", "green", "blue")),
    *(Channel(name, "direction") for name in ("nx", "ny", "nz")),
    Channel("intensity"),
)
TASKS = ("classification", "multi-label", "regression", "segmentation", "retrieval", "fewshot")
_TRANSFORM_VERSION = 1
_STORED = ("kind", "features", "up", "unit", "scale", "colour_max", "thin", "max_points", "mesh", "mesh_points")
_REPEATED = 0.5
_UNLIKE = 30.0
_STRAY = 0.01
_ROUGH, _FAR = 0.01, 1e4


class PointCloud(Domain):
    """Sets of points x, y, z with z up, and colour, normal and intensity where files have them.

    A window is a range of the stored order (see `order`): of objects a sample of the whole, of scenes a region.
    """

    name = "pointcloud"
    layout: ClassVar[Layout] = Layout(
        axes="N C",
        channels=CHANNELS,
        unit="m",
        symmetries=frozenset(SYMMETRIES),
        ragged_channels=True,
        relations=("same", "overlap"),
    )
    suffixes = SUFFIXES
    Options: ClassVar[type[DomainOptions]] = PointCloudOptions
    columns: ClassVar[Mapping[str, type]] = {"unit": str, "up": str}
    tasks = TASKS
    default_objective = "simclr"
    window = (1024,)
    patch = (32,)
    packed_words = "ordered points in float32"

    def __init__(self, options: DomainOptions | None = None) -> None:
        super().__init__(options)
        if self.options.up == "none":
            symmetries = frozenset((*SYMMETRIES, *ALL_PLANES))
            self.layout = replace(type(self).layout, symmetries=symmetries)  # type: ignore[misc]

    # -------------------------------------------------------------------------------------------------------- catalog
    def claims(self, path: Path) -> bool:
        """Whether a file looks like a cloud: by its ending, and text also by its first lines."""
        if path.suffix.lower() in TEXT_SUFFIXES and path.is_file():
            from ssl_platform_pointcloud.readers.text import looks_like_points

            return looks_like_points(path)
        return super().claims(path)

    def scan(self, path: Path) -> Iterable[Row]:
        """A row for each cloud of a file.

        Raises:
            Unreadable: the file cannot be used.
        """
        for row in items.rows_of(path, self.options):
            yield self.fit(row)

    def fit(self, row: Row) -> Row:
        """The row under the options and the columns `unit` and `up`."""
        return items.fit(row, self.options)

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """Kind, axis, scale, colours, thinning and labels of points, where they are `auto`."""
        from ssl_platform_pointcloud.settle import settle

        return settle(rows, self.options)

    # --------------------------------------------------------------------------------------------------------- points
    def prepare(self, row: Row) -> Prepared:
        """The whole cloud in the order windows are ranges of."""
        from ssl_platform_pointcloud.prepare import prepare

        return prepare(row, self.options)

    def prepare_key(self) -> Mapping[str, Any]:
        """Options that change what is stored."""
        return {"options": self.options.model_dump(mode="json", include=set(_STORED)), "version": _TRANSFORM_VERSION}

    def packed_bytes(self, row: Row) -> int | None:
        """Four bytes a value of each point."""
        thin = self.options.thin if isinstance(self.options.thin, int) else 1
        return 4 * row.shape[0] * thin * len(row.channels)

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """The points of a window, `[N, C]` float32."""
        from ssl_platform_pointcloud.prepare import read

        if self.cache is None:
            raise DataError("domain 'pointcloud' was not given a cache")
        return {"main": read(self.cache.open(row, self), row, window, self.options)}

    def views(self) -> Sequence[Operation]:
        """Feature dropout and colour jitter; turning, crops, jitter and dropout of points are the platform's own."""
        from ssl_platform_pointcloud.views import operations

        return operations()

    def defaults(self, items: int, batch: int) -> dict[str, tuple[Any, str]]:
        """Views turn freely about the axis that points up."""
        axes = "all axes" if self.options.up == "none" else "the axis that points up"
        return {"views.rotate": (180.0, f"clouds may be turned about {axes}: views.off=[rotate] where they may not")}

    def checks(self, row: Row, facts: Mapping[str, float]) -> str | None:
        """A line where points were rounded or are copies of others, or a few stray ones dwarf the rest."""
        if facts.get("away", 0.0) > _FAR and facts.get("grain", 0.0) > _ROUGH:
            step = facts["grain"] * facts["extent"]
            return f"its coordinates come in steps of {step:.3g} m, far from the origin: rounded to float32?"
        if facts.get("middle", 1.0) < _STRAY:
            share = f"{100 * facts['middle']:.2g} %"
            return f"99 % of its points lie within {share} of its extent: remove the stray points far away"
        repeated = facts.get("repeated", 0.0)
        if repeated > _REPEATED:
            return f"{repeated:.0%} of its points are copies of others: they add nothing"
        return None

    def unlike(self, facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        """Items whose extent is far from the set's: most often another unit."""
        extents = {name: f["extent"] for name, f in facts.items() if f.get("extent")}
        if self.options.scale == "unit" or len(extents) < 3:
            return {}
        middle = float(np.median(list(extents.values())))
        return {
            name: f"{extent:.4g} m across where the set's median is {middle:.4g} m: another unit? "
            "data.unit or a manifest column 'unit' settles it"
            for name, extent in extents.items()
            if not middle / _UNLIKE < extent < middle * _UNLIKE
        }

    # --------------------------------------------------------------------------------------------- pictures and labels
    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """The cloud from the front and from above, in its colours where it has them."""
        from ssl_platform_pointcloud.render import render

        return render(x, channels)

    def read_mask(self, row: Row, path: Path, resample: bool = False) -> np.ndarray:
        """`[cells]` labels of the first point of every cell, from `data.label_field` of a file with the same points."""
        from ssl_platform_pointcloud.labels import read_labels

        return read_labels(row, path, self.options)

    def write_prediction(self, row: Row, prediction: np.ndarray, path: Path) -> Path:
        """An NPZ of the item's points as they were stored and the label of each.

        Raises:
            DataError: its file is not there: prepared data keep points that were moved, scaled and merged.
        """
        from ssl_platform_pointcloud.labels import write_labels

        if not Path(row.path).exists():
            raise DataError(
                f"{row.id}: labels are written for the points of its own file, which prepared data do not keep, and "
                f"{row.path} is not there: predict from the source"
            )
        return write_labels(row, prediction, path, self.options)

    def dense_metrics(
        self, target: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], classes: Mapping[int, str]
    ) -> dict[str, float]:
        """Intersection over union of every part, and their mean (instance mIoU when averaged over items)."""
        from ssl_platform_pointcloud.labels import part_iou

        return part_iou(target, prediction, classes)

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """180 labelled clouds of columns in the formats of the field; written once."""
        from ssl_platform_pointcloud.sample import write_sample_set

        return write_sample_set(folder, seed)
