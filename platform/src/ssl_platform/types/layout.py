"""What a domain looks like: its channels, and what its axes allow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """One channel of a domain.

    Attributes:
        name: unique within the layout, e.g. `ct`, `B08`, `x`.
        unit: physical unit: `HU`, `reflectance`, `dB`, `m`; empty when unknown. Of point sets, S channels in a row with
            the unit `direction` are a vector, which turns with the view.
        wavelength: centre wavelength in nm, or None.
        bounds: the physical range `(low, high)` used when values must be mapped to `[0, 1]`, or None.
    """

    name: str
    unit: str = ""
    wavelength: float | None = None
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Layout:
    """What the generic view toolkit, tokenizers and objectives may assume about a domain.

    Attributes:
        axes: `"C D H W"`, `"C T H W"`, `"C H W"`, `"C F T"`, `"C T"`, or `"N C"` for point sets (the first S channels
            are the coordinates).
        channels: known channels, or empty when they vary by item (an item's names are in its Row).
        unit: unit of spacing along the spatial axes (`mm`, `m`, `um`, `s`).
        symmetries: transformations that keep meaning, to augment with: `flip:W`, `rotate:HW` (any angle in that plane),
            `rot90:HW`, `scale`, `gain`, `offset`, `gamma`, `blur`, `noise`, `channel-drop`, `cutout`. `scale:HW` and
            `blur:HW` name some axes only; without letters they mean all.
        moves: transformations that are exact on this grid, which pretexts may predict: `rot90:HW`, `flip:W`, `shuffle`.
        fill: value of what lies outside the item (it is also marked invalid).
        ragged_channels: whether batches are padded to the largest channel count with channel validity.
        meta: names of the numeric facts `Row.meta` may hold that travel with a batch.
        relations: relations between the reads of a sample that the domain offers: `same`, `overlap`, `time`, `place`,
            `modality`, `speed`, `anatomy`, `table`.
    """

    axes: str
    channels: tuple[Channel, ...] = ()
    unit: str = ""
    symmetries: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()
    fill: float = 0.0
    ragged_channels: bool = False
    meta: tuple[str, ...] = ()
    relations: tuple[str, ...] = ("same", "overlap")

    @property
    def points(self) -> bool:
        """Whether items are point sets rather than grids."""
        return self.axes.split()[0] == "N"

    @property
    def spatial(self) -> tuple[str, ...]:
        """Names of the spatial axes in storage order, e.g. `("D", "H", "W")`; `("X", "Y", "Z")` for point sets."""
        return ("X", "Y", "Z") if self.points else tuple(self.axes.split()[1:])

    @property
    def time_axis(self) -> int | None:
        """Which spatial axis is time in seconds, if one is."""
        return self.spatial.index("T") if self.unit == "s" and "T" in self.spatial else None

    @property
    def rank(self) -> int:
        """Number of spatial axes S."""
        return len(self.spatial)
