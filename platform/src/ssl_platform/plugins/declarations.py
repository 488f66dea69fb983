"""What a plugin declares: frozen, plain, torch-free. Factories are strings `"package.module:Name"`, imported on use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ssl_platform.config.settings import Setting
from ssl_platform.errors import PluginError
from ssl_platform.plan import Plan

NAME = re.compile(r"^[a-z0-9][a-z0-9_-]*(?::\*)?$")
FACTORY = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")

FEATURES = ("item", "windows", "tokens", "layers", "views", "encoder")


@dataclass(frozen=True)
class Declaration:
    """What every kind of declaration has.

    Attributes:
        name: lower case letters, digits, `-` and `_`; unique among all plugins. A backbone may be a prefix: `timm:*`.
        factory: where the thing is, `"package.module:Name"`.
        summary: one line for listings.
    """

    name: str
    factory: str
    summary: str = ""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if not isinstance(self.name, str) or not NAME.match(self.name):
            raise PluginError(f"{kind}(name={self.name!r}): use lower case letters, digits, '-' and '_'")
        if not isinstance(self.factory, str) or not (FACTORY.match(self.factory) or self._may_lack(self.factory)):
            raise PluginError(f"{kind}({self.name!r}, factory={self.factory!r}): write 'package.module:Name'")
        for item in fields(self):  # a lone string would silently become a tuple of letters
            if str(item.type).startswith("tuple[str") and isinstance(getattr(self, item.name), str):
                raise PluginError(f"{kind}({self.name!r}): {item.name} must be a tuple of strings")

    def _may_lack(self, factory: str) -> bool:
        """Whether an empty factory is a statement of its own (a dataset that is described and has no adapter)."""
        return False


@dataclass(frozen=True)
class DomainDeclaration(Declaration):
    """A kind of data. The factory is a `ssl_platform.domain.Domain`; its module imports numpy and pydantic at most.

    Attributes:
        axes: the layout's axes, e.g. `"C D H W"`, `"N C"`.
        relations: relations between reads it offers.
        parts: parts its samples have.
        symmetries: transformations that keep meaning (a pretext that predicts one is unfit).
        moves: transformations exact on its grid, which pretexts may predict.
        tasks: downstream tasks it supports.
        suffixes: file endings it reads.
        default_objective, default_backbone: what runs when none is named.
        models: kinds of further models it can supply (`text`).
        extras: optional dependencies, `{import name: what to install}`, named when a read fails for want of one.
        channels: channels of every item, or None where that varies with the data.
    """

    axes: str = "C H W"
    relations: tuple[str, ...] = ("same", "overlap")
    parts: tuple[str, ...] = ("main",)
    symmetries: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ("classification", "regression")
    suffixes: tuple[str, ...] = ()
    default_objective: str = "mae"
    default_backbone: str = "vit-pico"
    models: tuple[str, ...] = ()
    extras: Mapping[str, str] = field(default_factory=dict)
    channels: int | None = None

    @property
    def points(self) -> bool:
        """Whether items are point sets rather than grids."""
        return self.axes.split()[0] == "N"

    @property
    def rank(self) -> int:
        """Number of spatial axes S (3 for point sets)."""
        return 3 if self.points else len(self.axes.split()) - 1


@dataclass(frozen=True)
class ObjectiveDeclaration(Declaration):
    """An objective: one record of `objectives/manifest.json`, or the same record shipped by a plugin.

    Attributes:
        family: contrastive, distillation, decorrelation, clustering, masked, predictive...
        paper: authors, title, year, arXiv or DOI.
        needs: the plan under default settings.
        settings: its `objective.*` keys.
        open_settings: whether further keys are passed on unchecked.
    """

    family: str = ""
    paper: str = ""
    needs: Plan = field(default_factory=lambda: Plan(views=()))
    settings: tuple[Setting, ...] = ()
    open_settings: bool = False

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> ObjectiveDeclaration:
        """The declaration of one manifest record (see `ssl_platform.objectives.manifest.record_of`).

        Raises:
            PluginError: a key is missing or unknown; the manifest was written by another release.
        """
        try:
            return ObjectiveDeclaration(
                name=record["name"],
                factory=record["factory"],
                summary=record["summary"],
                family=record["family"],
                paper=record["paper"],
                needs=Plan.from_dict(record["needs"]),
                settings=tuple(Setting(**setting) for setting in record["settings"]),
            )
        except (KeyError, TypeError) as error:
            name = record.get("name", "?")
            raise PluginError(
                f"objective record {name!r} does not fit this release ({error}): generate it anew"
            ) from None


@dataclass(frozen=True)
class BackboneDeclaration(Declaration):
    """A backbone. The factory is called `factory(layout, channels, size, patch, **preset, **settings)`.

    Attributes:
        offers: from `ssl_platform.plan.Offer`.
        points: whether it encodes point sets.
        ranks: spatial ranks of the grids it encodes; empty when it encodes none.
        settings: its `backbone.*` keys besides `name` and `patch`.
        preset: fixed arguments of the factory. A prefix name (`timm:*`) also passes `model`, what follows the colon.
        open_settings: whether further keys are passed on unchecked (adapters of other libraries).
        tokens_grid: whether its tokens lie on a grid.
        requires: `{import name: what to install}`, checked when it is used.
    """

    offers: tuple[str, ...] = ()
    points: bool = False
    ranks: tuple[int, ...] = (1, 2, 3)
    settings: tuple[Setting, ...] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)
    open_settings: bool = False
    tokens_grid: bool = True
    requires: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str | None:
        """`timm:` for `timm:*`, else None."""
        return self.name[:-1] if self.name.endswith(":*") else None

    def arguments(self, asked: str) -> dict[str, Any]:
        """Fixed arguments of the factory for a name that was asked for: `{"model": "resnet50"}` of `timm:resnet50`."""
        if self.prefix is None:
            return dict(self.preset)
        return {**self.preset, "model": asked[asked.index(self.prefix) + len(self.prefix) :]}


@dataclass(frozen=True)
class TaskDeclaration(Declaration):
    """A downstream task. The factory is what scores it: for the core's kinds `metrics(positive) -> {name: function}`.

    Attributes:
        labels: what it learns from: `class`, `classes`, `number`, `mask`, `none`.
        metrics: names of its metrics, the headline first.
        protocols: what `probe --task NAME` runs; empty for the default.
        sample: `"package.module:Name"` of what writes a labelled sample set for it, `(folder, seed) -> manifest`; empty
            where the domain's own sample set serves.
    """

    labels: str = "class"
    metrics: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    sample: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sample and not FACTORY.match(self.sample):
            raise PluginError(f"TaskDeclaration({self.name!r}, sample={self.sample!r}): write 'package.module:Name'")


@dataclass(frozen=True)
class ProtocolDeclaration(Declaration):
    """A way to evaluate an encoder that stays as it is.

    The factory is a function `(splits, task, budget) -> Answer` of frozen features in the form it asks for, called once
    for each round of the split; or `(opened, encoder, entries, budget) -> Answer` where it asks for the encoder itself.
    Its types are in `ssl_platform.transfer.protocols`.

    Attributes:
        tasks: kinds of labels it runs on: `classification`, `multi-label`, `regression`, `segmentation`; `none` if it
            runs without any.
        offers: what it needs of the backbone.
        trains: whether it trains something by gradient.
        features: `item` (a vector an item), `windows` (a bag of vectors, one a window), `tokens` (a bag of tokens),
            `layers` (candidates of several blocks side by side, in `Splits.parts`), `views` (the item's vector and
            those of augmented views) or `encoder`.
        seeded: whether its result depends on a seed, so that `compare.seeds` repeats it.
    """

    tasks: tuple[str, ...] = ("classification",)
    offers: tuple[str, ...] = ()
    trains: bool = False
    features: str = "item"
    seeded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in FEATURES:
            raise PluginError(
                f"ProtocolDeclaration({self.name!r}, features={self.features!r}): one of {', '.join(FEATURES)}"
            )


@dataclass(frozen=True)
class DatasetDeclaration(Declaration):
    """A public dataset as it is downloaded. The factory yields manifest rows: `factory(folder) -> Iterable[dict]`.

    Attributes:
        factory: empty where the dataset is described and has no adapter yet.
        domain: the domain that reads it.
        tasks: tasks its labels serve.
        items: how many items a complete download has, or 0 when unknown.
        licence: of the data.
        url: where people get it; nothing is downloaded by the platform.
        citation: how to cite it.
        files: patterns that each match something in a complete download, relative to its folder; a folder is told
            from them.
        sizes: items of each part of the published split, where they are known.
        settings: keys that commands need with it, `("data.tissue=none",)`.
        facts: what else `datasets show` says.
    """

    domain: str = ""
    tasks: tuple[str, ...] = ()
    items: int = 0
    licence: str = ""
    url: str = ""
    citation: str = ""
    files: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def _may_lack(self, factory: str) -> bool:
        return factory == ""


@dataclass(frozen=True)
class CheckDeclaration(Declaration):
    """A doctor check. The factory is called without arguments and returns one line, or raises with the cause."""
