"""What a domain plugin supplies. Importing this module imports nothing heavy.

An author writes three methods: `scan`, `read`, `sample_data`. Everything else has a default.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from ssl_platform.data.shards.packing import Packs
from ssl_platform.errors import DataError
from ssl_platform.plan import Reads
from ssl_platform.types import Layout, Part, Row, Window

if TYPE_CHECKING:
    import numpy as np

    from ssl_platform.data.box import Box
    from ssl_platform.data.cache import Cache, Prepared
    from ssl_platform.data.catalog import Catalog
    from ssl_platform.views.operation import Operation


class DomainOptions(BaseModel):
    """A domain's own `data.*` keys. Subclasses add fields; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Domain(Packs):
    """A kind of data.

    Attributes:
        name: what `--domain` takes.
        layout: axes, channels, symmetries, units, facts and relations.
        suffixes: file endings it reads, lower case with the dot (`.nii.gz` before `.gz` counts as one ending).
        Options: its `data.*` keys.
        columns: manifest columns that overrule the file header, with their types, e.g. `{"spacing": str}`.
        tasks: names of the downstream tasks it supports.
        sensitive: whether items are people: no file names in reports, salted ids.
        default_objective, default_backbone: by name; `defaults` refines them by data size.
        window: default window size along each spatial axis, in cells of the normalised grid.
        patch: default patch size of the generic ViT along each spatial axis.
        true_size: whether views that are compared keep the data's resolution, because a size means something.
    """

    name: ClassVar[str] = ""
    layout: ClassVar[Layout]
    suffixes: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type[DomainOptions]] = DomainOptions
    columns: ClassVar[Mapping[str, type]] = {}
    tasks: ClassVar[tuple[str, ...]] = ("classification", "regression")
    sensitive: ClassVar[bool] = False
    default_objective: ClassVar[str] = "mae"
    default_backbone: ClassVar[str] = "vit-pico"
    window: ClassVar[tuple[int, ...]] = ()
    patch: ClassVar[tuple[int, ...]] = ()
    true_size: ClassVar[bool] = False

    def __init__(self, options: DomainOptions | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()
        self.cache: Cache | None = None

    # ------------------------------------------------------------------------------------------ the author's three
    def scan(self, path: Path) -> Iterable[Row]:
        """Rows of one file (or folder that `find` yielded), from its header: pixel data is not read.

        Raises:
            Unreadable: the item cannot be used; it goes to quarantine.
        """
        raise NotImplementedError

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """The parts of one window, reading only its bytes. Runs in a worker; returns numpy.

        The default serves windows from the preprocessed cache, for domains that define `prepare`.
        """
        from ssl_platform.data.window import read_window

        if self.cache is None:
            raise DataError(f"domain {self.name!r} was not given a cache: pass one, or override read()")
        return {"main": read_window(self.cache.open(row, self), row, window, self.layout)}

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """Write a labelled sample set as real files of the domain's format; return the path of its manifest."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------------------- optional
    def find(self, root: Path) -> Iterator[Path]:
        """Candidates under `root` (a file or a folder), sorted: by default every file with one of `suffixes`."""
        if root.is_file():
            yield root
            return
        for folder, folders, files in os.walk(root):
            folders.sort()
            for file in sorted(files):
                if not file.startswith(".") and self.claims(Path(folder, file)):
                    yield Path(folder, file)

    def claims(self, path: Path) -> bool:
        """Whether a file name looks like one this domain reads."""
        return path.name.lower().endswith(self.suffixes)

    def prepare(self, row: Row) -> Prepared:
        """The whole item in its normalised grid, for the cache. Domains that read windows directly leave it out.

        Raises:
            Unreadable: the content is damaged although the header looked right.
        """
        raise NotImplementedError

    @property
    def prepares(self) -> bool:
        """Whether items are prepared for the cache."""
        return type(self).prepare is not Domain.prepare

    def verify(self, row: Row) -> Mapping[str, float]:
        """Read an item to its end, to find what is cut off or damaged behind a sound header; keep nothing.

        Called from several threads at once. The default prepares the item, or reads the window at its far end where
        the domain prepares none; a domain whose format has a quicker way overrides it.

        Returns:
            Statistics of the values as `checks` and `unlike` take them; may be empty.

        Raises:
            Unreadable: the content is damaged (whatever else is raised counts as that too).
        """
        if self.prepares:
            from ssl_platform.data.prepared import settle

            return settle(self.prepare(self.located(row)), row, self.layout.fill).facts
        import numpy as np

        end = np.full(self.layout.rank + 2, np.nextafter(1.0, 0.0))
        self.read(row, self.place(row, self.window or row.shape, end))
        return {}

    def prepare_key(self) -> Mapping[str, Any]:
        """What `prepare` depends on besides the file: options and a version; part of the cache key."""
        return {"options": self.options.model_dump(mode="json"), "version": 1}

    def fit(self, row: Row) -> Row:
        """The row under the manifest's `columns` (by then in `row.meta`) and the options: shape, spacing, channels.

        Called on each scanned row, and again when `settle` changed an option.

        Raises:
            Unreadable: a fact is missing that nothing supplies; names the key that would.
        """
        return row

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """Values for the domain's own options left to `auto` that depend on the whole set, each with its reason.

        For example the spacing items are resampled to. The caller makes the domain anew with them and fits all rows.
        """
        return {}

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """Where to read a window of `size`.

        Args:
            row: the item.
            size: cells along each spatial axis.
            uniforms: at least `rank + 2` numbers in `[0, 1)` that decide everything.
        """
        from ssl_platform.data.window import place_uniform

        return place_uniform(row, size, uniforms)

    def cover(self, row: Row, size: Sequence[int], whole: bool = True) -> Sequence[Window]:
        """The windows that stand for an item where it is embedded or scored, always the same ones, at least one.

        By default those that cover the item, or the one in its middle. A domain whose items are mostly empty, or too
        large to be covered, names those worth looking at.

        Args:
            row: the item.
            size: cells along each spatial axis.
            whole: False asks for exactly one window.
        """
        from ssl_platform.data.window import grid_windows, place_center

        return grid_windows(row, size) if whole else [place_center(row, size)]

    def label_box(self, row: Row, box: Box) -> Box:
        """Where the `window` of a label lies, in cells of the item's normalised grid (fractions are fine).

        By default seconds along a time axis in seconds, with all of the other axes; else cells of a grid that is the
        source's own. A domain whose grid is the source turned, flipped, resampled or cut overrides it.

        Args:
            row: the item.
            box: start and end along each axis as the table has them: `z0:z1,y0:y1,x0:x1` in the order the source
                stores its axes, or `t0:t1` in seconds.

        Returns:
            Start and end along each axis of `row.shape`.

        Raises:
            DataError: the box cannot be of this item; says why and the fix, not which row.
        """
        if self.layout.points:
            raise DataError(f"domain {self.name!r} takes no labels of windows: cut them out as files of their own")
        time = self.layout.time_axis
        if time is not None:
            if len(box) != 1:
                raise DataError("give t0:t1 in seconds")
            step = row.spacing[time]
            whole = tuple((0.0, float(n)) for n in row.shape)
            return (*whole[:time], (box[0][0] / step, box[0][1] / step), *whole[time + 1 :])
        if len(box) != len(row.shape):
            raise DataError(f"has {len(box)} axes and the item {len(row.shape)}: give start:end along each")
        return box

    def among(self, catalog: Catalog) -> Domain:
        """The domain as it places windows in the items of one catalog.

        By default itself. A domain whose windows depend on the other items (ground that two scenes share, the same
        place at another time) returns a copy that knows them: whoever reads a part of a set must meet that part only.

        Args:
            catalog: the items that windows are drawn from.
        """
        return self

    def related(
        self, row: Row, reads: Reads, size: Sequence[int], uniforms: np.ndarray
    ) -> Sequence[tuple[Row, Window]]:
        """The windows of one sample, of this item or of items related to it.

        The default knows `same` (one window, however many reads) and `overlap` (each shares at least half of the first
        along each axis). A domain that offers further relations in its layout overrides it for those.

        Args:
            row: the item.
            reads: how many windows and how they relate.
            size: cells along each spatial axis.
            uniforms: `[reads.count, rank + 2]` numbers in `[0, 1)` that decide everything.

        Raises:
            DataError: the domain does not offer the relation.
        """
        from ssl_platform.data.window import place_overlapping

        first = self.place(row, size, uniforms[0])
        if reads.count == 1 or reads.relation == "same":
            return [(row, first)] * reads.count
        if reads.relation == "overlap":
            return [(row, first), *((row, place_overlapping(row, first, u)) for u in uniforms[1:])]
        raise DataError(
            f"domain {self.name!r} offers no windows related by {reads.relation!r}; "
            f"it offers {', '.join(self.layout.relations)}"
        )

    def views(self) -> Sequence[Operation]:
        """The domain's physics as view operations, applied after the generic geometry and before generic intensity."""
        return ()

    def group(self, row: Row) -> tuple[str | None, str]:
        """The row's group and a word for the rule (`patient`, `slide`, `file`)."""
        return (row.group, "file header") if row.group else (None, "file")

    def defaults(self, items: int, batch: int) -> dict[str, tuple[Any, str]]:
        """Dotted keys this domain sets by data size, each with its reason."""
        return {}

    def checks(self, row: Row, facts: Mapping[str, float]) -> str | None:
        """Why the values of an item, of which `facts` are statistics, cannot be what they are said to be; else None."""
        return None

    def unlike(self, facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        """One line for each item whose values are unlike those of its set; `facts` are those of all items by id."""
        return {}

    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """A picture of one view as its people look at it: `[C, *size]` to `[H, W]` or `[H, W, 3]` uint8."""
        from ssl_platform.report.render import render_default

        return render_default(x, self.layout)

    def write_prediction(self, row: Row, prediction: np.ndarray, path: Path) -> Path:
        """Write a dense prediction `[*shape]` (normalised grid) in the source's own geometry; return the file."""
        raise DataError(f"domain {self.name!r} cannot write dense predictions")

    def read_mask(self, row: Row, path: Path, resample: bool = False) -> np.ndarray:
        """A label mask of an item in its normalised grid: `[*shape]` integers.

        Args:
            row: the item.
            path: the mask's file.
            resample: whether a mask on another grid is brought to the item's (`labels.resample=nearest`).

        Raises:
            Unreadable: shape or geometry differ from the item's.
        """
        raise DataError(f"domain {self.name!r} cannot read masks")

    def dense_metrics(
        self, target: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], classes: Mapping[int, str]
    ) -> dict[str, float]:
        """Metrics of one item's dense prediction besides Dice, which is always taken; none by default.

        Args:
            target: `[*shape]` integer classes in the normalised grid, -1 where unknown.
            prediction: `[*shape]` integer classes.
            spacing: physical size of a cell along each axis.
            classes: the classes to score (not the background) by their number.

        Returns:
            By name, such as `hd95` and `hd95_tumour`; nan where a metric is not defined.
        """
        return {}
