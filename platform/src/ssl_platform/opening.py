"""From a configuration to open data: domain, catalog, facts, splits. Every command that reads data begins here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ssl_platform.config.schema import DataConfig, RunConfig
from ssl_platform.data import content, labels, splits
from ssl_platform.data.cache import Cache
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.described import described
from ssl_platform.data.facts import Facts
from ssl_platform.data.manifest import Manifest, read_manifest
from ssl_platform.data.mask_check import check_masks
from ssl_platform.data.masks import aside_lines
from ssl_platform.data.names import counted
from ssl_platform.data.progress import Bar
from ssl_platform.data.quarantine import MaxBad, Quarantined, check_fraction, write_quarantine
from ssl_platform.data.scan import Scan, scan
from ssl_platform.data.shards.facts import beside_labels
from ssl_platform.data.shards.reopen import PreparedData, prepared_data
from ssl_platform.data.split_file import write as write_splits
from ssl_platform.data.splits import Splits
from ssl_platform.data.table import read_table
from ssl_platform.data.tasks import KINDS
from ssl_platform.domain import Domain
from ssl_platform.errors import ConfigError, DataError
from ssl_platform.plugins import registry
from ssl_platform.plugins.resolve import resolve
from ssl_platform.types import Row

OF_ITEMS = ("pretrain", "probe", "embed", "compare", "analyze")
"""Commands that read labels of whole items and no masks: a table that has both leaves nothing open to them."""


@dataclass
class OpenData:
    """Data ready to be read.

    Attributes:
        domain: with its options settled and the cache given.
        catalog: readable items in the grid windows are read from.
        facts: labels, groups and splits as told, one entry an item or window.
        splits: train, validation and test.
        quarantined: what cannot be used.
        masks: files set aside as masks.
        sample: whether it is the domain's own sample set.
        lines: what was decided, for the user.
    """

    domain: Domain
    catalog: Catalog
    facts: Facts
    splits: Splits
    quarantined: list[Quarantined] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    sample: bool = False
    lines: list[str] = field(default_factory=list)

    @cached_property
    def rows(self) -> list[Row]:
        """The catalog's rows."""
        return list(self.catalog.rows())

    def write(self, folder: Path, codes: np.ndarray | None = None) -> None:
        """Write what was read: `catalog.parquet`, `quarantine.csv`, `splits.csv` and `labels_unmatched.csv`.

        Args:
            folder: of the run.
            codes: `[folds, n]` parts as they are used; those of the splits when None.
        """
        described(self.catalog, self.facts, self.splits.codes if codes is None else codes).write(
            folder / "catalog.parquet"
        )
        write_quarantine(self.quarantined, folder / "quarantine.csv")
        if self.splits.id:
            write_splits(folder / "splits.csv", self.facts, self.splits.codes if codes is None else codes)
        if self.facts.unmatched_labels or self.facts.unmatched_items:
            self.facts.write_unmatched(folder / "labels_unmatched.csv")

    def labels_by_row(self, entries: np.ndarray) -> np.ndarray | None:
        """Targets of whole items as the loader takes them, one a catalog row; unknown where not among `entries`.

        A label of a window is none of its item's.

        Args:
            entries: positions in `facts` whose labels may be seen.
        """
        layout = self.facts.layout
        if layout is None or layout.kind == "segmentation" or not len(entries):
            return None
        target = self.facts.target
        unknown = -1 if np.issubdtype(target.dtype, np.integer) else np.nan
        served = np.full((len(self.catalog), *target.shape[1:]), unknown, dtype=target.dtype)
        entries = entries[self.facts.whole[entries]]
        served[self.facts.row[entries]] = target[entries]
        return served


def make_domain(config: RunConfig, prepared: PreparedData | None = None) -> Domain:
    """The domain of a configuration with its own `data.*` options, and its cache.

    Args:
        config: names it.
        prepared: prepared data it reads, whose options count where no others are asked for.

    Raises:
        ConfigError, PluginError: it is not named, not installed, or an option is wrong.
    """
    if config.domain is None:
        raise ConfigError("name the kind of data with --domain")
    declared = registry().domain(config.domain)
    kind: Any = registry().load(declared)
    own = {k: v for k, v in (config.data.model_extra or {}).items() if k in kind.Options.model_fields}
    cache = Cache(config.cache.dir, config.cache.max_gb)
    if prepared is not None:
        if prepared.about.domain != config.domain:
            raise DataError(f"{prepared.place.name} is data of {prepared.about.domain}, not of {config.domain}")
        return prepared.domain(kind, own, cache)
    domain: Domain = kind(kind.Options.model_validate(own))
    domain.cache = cache
    return domain


def open_data(config: RunConfig, *, quarantine: Path | None = None, out: TextIO | None = None) -> OpenData:
    """Open what a configuration names; without `data.paths` and `data.manifest`, the domain's sample set.

    Args:
        config: `data.*` options a domain settles are resolved in place.
        quarantine: where the list of unusable items goes.
        out: where progress is shown.

    Raises:
        UsageError: the data, its labels or its splits cannot be used; one line.
    """
    data, lines = config.data, []
    paths, manifest_path = [str(p) for p in data.paths], data.manifest
    prepared = prepared_data(paths)
    domain = make_domain(config, prepared)
    cache = domain.cache
    assert cache is not None
    if prepared is not None and manifest_path is not None:
        raise ConfigError(f"{prepared.place.name} brings its own facts: join others with --labels {manifest_path}")
    sample = not paths and manifest_path is None
    if sample:
        manifest_path = str(sample_set(domain, cache.folder, config.task))
        lines.append(f"data: no --data given, using the sample set of {domain.name} in {Path(manifest_path).parent}")
    manifest: Manifest | None = None
    roots = list(paths)
    if manifest_path is not None:
        manifest = read_manifest(manifest_path, config.labels, roots=paths, declared=domain.columns)
        lines += manifest.notes
        paths = [manifest_path]
    claims = None if manifest is None else manifest.claims
    if prepared is not None:
        claims, roots = prepared.claims(labels=config.labels.source is None), [*paths, *prepared.about.roots]
    elif claims is not None and config.command == "prepare":
        claims = beside_labels(claims)
    if claims is not None and claims.labels and _of_items(config):
        claims = replace(claims, columns={name: v for name, v in claims.columns.items() if name != "mask"})

    def join(catalog: Catalog) -> Facts:
        rows = list(catalog.rows())
        return labels.resolve(rows, config.labels, manifest=claims, roots=roots, domain=domain, task=_labels_of(config))

    def overrides(catalog: Catalog) -> Iterable[tuple[int, dict[str, str]]]:
        return join(catalog).overrides(domain)

    told = overrides if claims is not None or config.labels.source else None
    limit = _limit(config)
    if prepared is not None:
        found = prepared.scan(domain, check=data.check, overrides=told, max_bad_fraction=limit, quarantine=quarantine)
    else:
        with Bar("headers", out) as bar:
            found = scan(
                paths,
                domain,
                folder=cache.folder,
                include=data.include,
                masks=_masks(config, manifest),
                items=None if manifest is None else manifest.items,
                overrides=told,
                max_bad_fraction=limit,
                quarantine=quarantine,
                progress=bar,
            )
    lines += [*found.lines, *aside_lines(found.masks)]
    domain = found.domain
    domain.cache = cache
    for key, (value, why) in found.settled.items():
        name = f"data.{key.removeprefix('data.')}"
        config.resolve(name, value, why)
        lines.append(f"{name}={value} ({why})")
    catalog = _readable(found, config, quarantine, lines, out)
    facts = join(catalog)
    if any(facts.group):
        catalog = _grouped(catalog, facts)
    lines += facts.notes
    if facts.layout is not None and facts.layout.kind == "segmentation" and config.command != "pretrain":
        facts = _checked(config, catalog, facts, domain, cache, found.quarantined, lines)
    if config.command == "pretrain" and (of_windows := int((facts.labelled & ~facts.whole).sum())):
        lines.append(
            f"labels: {counted(of_windows, 'label')} of windows not used: pretraining asks for labels of items"
        )
    parts = splits.resolve(list(catalog.rows()), facts, config.labels, seed=0)
    lines += parts.notes
    return OpenData(domain, catalog, facts, parts, found.quarantined, list(found.masks), sample, lines)


def _of_items(config: RunConfig) -> bool:
    """Whether the command reads labels of whole items where a table has masks too."""
    if config.command not in OF_ITEMS or config.task in KINDS:
        return False
    return config.task is None or registry().task(config.task).labels != "mask"


def _labels_of(config: RunConfig) -> str | None:
    """The task that labels are read for: of one that is evaluated on masks, segmentation."""
    if config.command not in OF_ITEMS or config.task is None or config.task in KINDS:
        return config.task
    return "segmentation" if registry().task(config.task).labels == "mask" else config.task


def _readable(found: Scan, config: RunConfig, listed: Path | None, lines: list[str], out: TextIO | None) -> Catalog:
    """The catalog without the items whose content cannot be read although their header can (`data.check`).

    Raises:
        DataError: too much is unreadable. `scan` goes on: it lists what a run would stop at.
    """
    scanning = config.command == "scan"
    catalog = _subset(found.catalog, config.data)
    if config.command == "prepare":  # which reads all content anyway
        return catalog
    seen = content.look(catalog, found.domain, config.data.check, keep=not scanning, out=out)
    lines += seen.lines
    if seen.quarantined:
        found.quarantined += seen.quarantined
        if listed is not None:
            write_quarantine(found.quarantined, listed)
        check_fraction(found.quarantined, len(seen.catalog), _limit(config), listed)
    if found.quarantined and not scanning:
        first, total = found.quarantined[0], len(found.quarantined) + len(seen.catalog)
        lines.append(
            f"quarantined: {len(found.quarantined)} of {total} items cannot be used, e.g. {first.path}: {first.reason}"
        )
    return seen.catalog


def _limit(config: RunConfig) -> MaxBad:
    """The fraction of items that may be unreadable."""
    return 1.0 if config.command == "scan" else config.data.max_bad_fraction


def _checked(
    config: RunConfig,
    catalog: Catalog,
    facts: Facts,
    domain: Domain,
    cache: Cache,
    quarantined: list[Quarantined],
    lines: list[str],
) -> Facts:
    """Facts without the masks that do not fit their images, and with the classes that occur in the others."""
    resample = config.labels.resample is not None

    def read(row: Row, path: Path) -> np.ndarray:
        return np.asarray(cache.open_mask(row, path, domain, resample).data)

    told = len(facts.notes)
    checked = check_masks(list(catalog.rows()), facts, read, config.labels.ignore)
    quarantined += [Quarantined(path, why) for path, why in checked.quarantined.items()]
    lines += checked.facts.notes[told:]
    return checked.facts


def _masks(config: RunConfig, manifest: Manifest | None) -> list[str]:
    """Files and folders known to be masks."""
    masks = list(manifest.masks) if manifest is not None else []
    source = config.labels.source
    return [*masks, source] if source and Path(source).exists() else masks


def sample_set(domain: Domain, folder: Path, task: str | None = None) -> Path:
    """The manifest of the domain's sample set, or of a task's own, written once into the cache folder."""
    declared = registry().task(task) if task is not None and task in domain.tasks else None
    own = declared is not None and declared.sample
    place = folder / "samples" / (f"{domain.name}-{task}" if own else domain.name)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    if declared is None or not own:
        return domain.sample_data(place, seed=0)
    write: Any = resolve(declared.sample, f"sample set of task {declared.name!r}")
    return Path(write(place, 0))


def _subset(catalog: Catalog, data: DataConfig) -> Catalog:
    """Items named by the `id` column of `data.subset`."""
    if data.with_ is not None:
        raise ConfigError(f"data.with={data.with_}: no objective of this release reads a joined table; remove the key")
    if data.subset is None:
        return catalog
    wanted = set(read_table(data.subset).column("id", "data.subset"))
    rows = [i for i, name in enumerate(catalog.column("id")) if name in wanted]
    if not rows:
        raise DataError(f"data.subset={data.subset}: names none of the {len(catalog)} items, e.g. {catalog.row(0).id}")
    return catalog.select(rows)


def _grouped(catalog: Catalog, facts: Facts) -> Catalog:
    """The catalog with the groups that facts know: they reach batches as `View.group`."""
    names = catalog.column("group")
    for i, group in zip(facts.row.tolist(), facts.group, strict=True):
        names[i] = group or names[i]
    return catalog.with_columns(group=names)
