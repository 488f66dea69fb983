"""3-D medical volumes: CT, MR and others, from the files scanners and toolkits write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.types import Layout, Row, Window
from ssl_platform_medical3d import find
from ssl_platform_medical3d.axes import MOVES, SYMMETRIES, TASKS
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.readers import SUFFIXES

if TYPE_CHECKING:
    import numpy as np

    from ssl_platform.data.box import Box
    from ssl_platform.data.prepared import Prepared
    from ssl_platform.views.operation import Operation

_TRANSFORM_VERSION = 1


class Medical3D(Domain):
    """Volumes of one or more channels on a grid D, H, W towards superior, anterior and right, spacing in mm.

    Orientation is normalised by permuting and flipping axes (oblique volumes are not rotated), spacing by
    `data.spacing`. CT stays in Hounsfield units (int16, channel `ct`); anything else is mapped to [0, 1] by percentiles
    (float16, channel `mr`, `pt`.. or `intensity`).
    """

    name = "medical3d"
    layout: ClassVar[Layout] = Layout(
        axes="C D H W",
        unit="mm",
        symmetries=frozenset(SYMMETRIES),
        moves=frozenset(MOVES),
        relations=("same", "overlap"),
    )
    suffixes = SUFFIXES
    Options: ClassVar[type[DomainOptions]] = Medical3DOptions
    columns: ClassVar[Mapping[str, type]] = {"spacing": str, "modality": str}
    tasks = TASKS
    sensitive = True
    window = (48, 48, 48)
    patch = (8, 8, 8)
    true_size = True
    packed_words = "volumes of normalised axes, spacing and values"

    def __init__(self, options: DomainOptions | None = None) -> None:
        super().__init__(options)
        if self.options.pad_channels is True:
            self.layout = replace(type(self).layout, ragged_channels=True)  # type: ignore[misc]

    # -------------------------------------------------------------------------------------------------------- catalog
    def find(self, root: Path) -> Iterator[Path]:
        """Volume files, Zarr stores and folders of DICOM files under `root`."""
        return find.find(root)

    def scan(self, path: Path) -> Iterable[Row]:
        """A row for each volume of a file or folder, from headers alone.

        Plain arrays without a stored spacing come without one: `fit` supplies it or refuses.

        Raises:
            Unreadable: the file cannot be used, or some series of the folder cannot (after the rows of the others).
        """
        from ssl_platform_medical3d import items

        for row in items.rows_of(path, self.options):
            yield self.fit(row) if row.spacing or isinstance(self.options.spacing, tuple) else row

    def fit(self, row: Row) -> Row:
        """The row in its normalised grid under the options and the columns `spacing` and `modality`."""
        from ssl_platform_medical3d import items

        return items.fit(row, self.options)

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """Spacing (the set's median, or none where all are alike), modality and padding, where they are `auto`."""
        from ssl_platform_medical3d.settle import settle

        return settle(rows, self.options)

    def group(self, row: Row) -> tuple[str | None, str]:
        """The patient (salted hash), the BIDS subject, the nnU-Net case, or None: each file its own group."""
        return row.group, str(row.meta.get("group_rule", "file"))

    # --------------------------------------------------------------------------------------------------------- voxels
    def prepare(self, row: Row) -> Prepared:
        """The whole volume in its normalised grid."""
        from ssl_platform_medical3d.prepare import prepare

        return prepare(row, self.options)

    def verify(self, row: Row) -> Mapping[str, float]:
        """Statistics of the whole volume, which is neither resampled nor kept."""
        from ssl_platform_medical3d.prepare import verify

        return verify(row, self.options)

    def prepare_key(self) -> Mapping[str, Any]:
        """Options that change what is stored; how windows are placed and shown does not."""
        stored = ("modality", "array_axes", "percentiles", "frames", "foreground")
        return {"options": self.options.model_dump(mode="json", include=set(stored)), "version": _TRANSFORM_VERSION}

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """A window that favours the body: see `data.foreground` and `data.foreground_fraction`."""
        from ssl_platform.data.window import place_foreground

        cells = self.cache.open(row, self).foreground if self.cache and self.options.foreground == "auto" else None
        return place_foreground(cells, row, size, uniforms, self.options.foreground_fraction)

    def label_box(self, row: Row, box: Box) -> Box:
        """Voxels along the source's own index axes i, j, k, turned, flipped and scaled into the normalised grid."""
        from ssl_platform_medical3d.items import label_box

        return label_box(row, super().label_box(row, box), self.options)

    def views(self) -> Sequence[Operation]:
        """HU windows, gamma and bias fields."""
        from ssl_platform_medical3d.views import operations

        return operations(self.options)

    def checks(self, row: Row, facts: Mapping[str, float]) -> str | None:
        """Why the values cannot be what they are said to be."""
        from ssl_platform_medical3d import intensity, items

        return intensity.absurd(facts, items.modality_of(row, self.options))

    def unlike(self, facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        """Items whose range of values is far from the set's."""
        from ssl_platform_medical3d import intensity

        return intensity.unlike_set(facts)

    # --------------------------------------------------------------------------------------------- pictures and results
    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """Axial, coronal and sagittal middle slices in radiological convention, uint8; CT in a soft-tissue window."""
        from ssl_platform_medical3d.render import render, window_of

        window = self.options.hu_window
        default = type(self.options).model_fields["hu_window"].default
        return render(x, window_of(x, channels, None if window == default else window))

    def write_prediction(self, row: Row, prediction: np.ndarray, path: Path) -> Path:
        """Write labels or values on the voxels of the source: NRRD for NRRD, MHA for MetaImage, else NIfTI."""
        from ssl_platform_medical3d.predictions import write_prediction

        held = self.held(row)
        return write_prediction(row, prediction, path, self.options, None if held is None else held.geometry)

    def read_mask(self, row: Row, path: Path, resample: bool = False) -> np.ndarray:
        """A mask of any volume format in the item's grid; its shape and affine must be the image's."""
        from ssl_platform_medical3d.masks import read_mask

        return read_mask(row, path, self.options, resample)

    def dense_metrics(
        self, target: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], classes: Mapping[int, str]
    ) -> dict[str, float]:
        """The 95 % Hausdorff distance in mm of every class, and their mean."""
        from ssl_platform_medical3d.distances import hausdorff95

        return hausdorff95(target, prediction, spacing, classes)

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """240 labelled CT-like phantoms with masks, as NIfTI files; written once."""
        from ssl_platform_medical3d.phantom import write_sample_set

        return write_sample_set(folder, seed)
