"""What an objective needs, stated before anything heavy loads.

A `Plan` has two halves: `reads`, the windows taken of each sample and how they relate, and `views`, what is made of
them on the device. It imports no torch, so needs can be matched with what a domain and a backbone offer instantly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Offer = Literal[
    "tokens",  # Features.tokens and coords
    "drop",  # encodes a visible subset only
    "mask_token",  # encodes all positions with some replaced
    "pyramid",  # feature maps fine to coarse
    "taps",  # intermediate outputs by name
    "attention",  # attention maps as a tap
    "attn_mask",  # an extra attention mask
    "sparse",  # a dense mask keeps masked places exactly zero in a convnet
    "time",  # tells one time step from another
]
Relation = Literal["same", "overlap", "time", "speed", "place", "modality", "anatomy", "table"]


@dataclass(frozen=True)
class Reads:
    """Windows taken of each sample.

    Attributes:
        count: how many.
        relation: how they relate; `same` is one window that every view is cut from.
        gap: for `time`: least distance between reads, in the layout's time unit.
        table: for `table`: name of the table that relates items.
    """

    count: int = 1
    relation: Relation = "same"
    gap: float | None = None
    table: str | None = None


@dataclass(frozen=True)
class ViewSpec:
    """One kind of view.

    Attributes:
        role: its name; `views[role]` gives all views of it.
        count: how many.
        size: cells along each axis; None takes `views.global_size` (or `views.local_size` for the role `local`).
        scale: fraction of the read's extent (per volume) a crop covers, `(low, high)`; of the parent view's with
            `inside`; None takes the role's default. Axes the layout does not allow to scale keep their cells.
        inside: role whose first view the crop must lie in, or None.
        overlap: least fraction of the crop that lies in the first view of the same role, or None.
        like: role whose geometry (`like_what="geometry"`), photometry or both are copied.
        like_what: what is copied.
        draw: per sample, once for `chunk` consecutive samples, or once for the batch.
        chunk: samples that share a draw when `draw="chunk"`.
        clean: no augmentation: centre crop, no intensity changes.
        photometric: whether intensity operations apply.
        off: names of intensity operations that do not apply to it (`noise`, `cutout`; see `views.off`).
        flips: whether flips and rotations apply.
        read: which read it is cut from.
        part: which part of the sample it shows.
    """

    role: str = "global"
    count: int = 1
    size: int | None = None
    scale: tuple[float, float] | None = None
    inside: str | None = None
    overlap: float | None = None
    like: str | None = None
    like_what: Literal["geometry", "photometry", "both"] = "geometry"
    draw: Literal["sample", "chunk", "batch"] = "sample"
    chunk: int = 1
    clean: bool = False
    photometric: bool = True
    off: tuple[str, ...] = ()
    flips: bool = True
    read: int = 0
    part: str = "main"

    @property
    def local(self) -> bool:
        """Whether the sizes and scales of `views.local_*` hold (`local`, and `PART.local` of a joint plan)."""
        return self.role.rpartition(".")[2] == "local"


@dataclass(frozen=True)
class ModelSpec:
    """A second model an objective is given by name.

    Attributes:
        kind: `frozen` (given by run or file, not trained, not saved, pinned by hash), `backbone` (a second one of the
            same kind), or a registered module kind such as `text`.
        part: the part of the sample it reads.
    """

    kind: str
    part: str = "main"


@dataclass(frozen=True)
class Refresh:
    """A whole-set pass that embeds every item in index order.

    Attributes:
        every: a duration: steps (`500`), `1ep` or `5%`.
        at_start: whether it also runs before the first step.
    """

    every: str = "1ep"
    at_start: bool = True


@dataclass(frozen=True)
class Plan:
    """All needs of an objective.

    Attributes:
        views: in the order `forward` receives them.
        reads: windows of each sample.
        offers: what the backbone must offer.
        grid: whether tokens must lie on a grid.
        parts: parts every sample must have.
        labels: `required`, `optional` (unknown ones are masked) or None: labels are then never served.
        stable: whether each item needs a stable identity over epochs (banks).
        groups: whether `View.group` is read.
        models: further models by name.
        refresh: a whole-set pass, or None.
        min_batch: least global batch at which the loss is defined.
        batch_coupled: whether samples of a micro-batch meet in the loss (negatives, batch statistics), so that
            accumulation makes it a different loss.
        host_solver: whether it solves something on the host each step.
        pretext: moves of the layout whose answer is predicted, such as `rot90`, any of which will do; unfit where
            there is none that is no symmetry.
        min_channels: least number of channels of an item.
    """

    views: tuple[ViewSpec, ...]
    reads: Reads = field(default_factory=Reads)
    offers: tuple[Offer, ...] = ()
    grid: bool = False
    parts: tuple[str, ...] = ("main",)
    labels: Literal["required", "optional"] | None = None
    stable: bool = False
    groups: bool = False
    models: tuple[tuple[str, ModelSpec], ...] = ()
    refresh: Refresh | None = None
    min_batch: int = 1
    batch_coupled: bool = False
    host_solver: bool = False
    pretext: tuple[str, ...] = ()
    min_channels: int = 1

    @staticmethod
    def augmented(count: int, **needs: Any) -> Plan:
        """`count` augmented global views."""
        return Plan(views=(ViewSpec(role="global", count=count),), **needs)

    @staticmethod
    def single(**needs: Any) -> Plan:
        """One global view with crop and flips but no intensity changes (masked prediction)."""
        return Plan(views=(ViewSpec(role="global", photometric=False),), **needs)

    @staticmethod
    def multi_crop(local: int, **needs: Any) -> Plan:
        """Two global views and `local` small ones."""
        views = (ViewSpec(role="global", count=2), ViewSpec(role="local", count=local))
        return Plan(views=views if local else views[:1], **needs)

    def replace(self, **changes: Any) -> Plan:
        """A copy with some needs changed."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `objectives/manifest.json`."""
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Plan:
        """The plan `as_dict` wrote, also after a round trip through JSON (lists become tuples again).

        Raises:
            TypeError: a key is unknown or missing.
        """
        plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        refresh = data.get("refresh")
        plain["views"] = tuple(_view(view) for view in data["views"])
        plain["reads"] = Reads(**data.get("reads", {}))
        plain["models"] = tuple((name, ModelSpec(**model)) for name, model in data.get("models", ()))
        plain["refresh"] = Refresh(**refresh) if refresh else None
        return Plan(**plain)


def _view(data: Mapping[str, Any]) -> ViewSpec:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return ViewSpec(**plain)
