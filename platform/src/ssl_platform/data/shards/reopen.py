"""Prepared data as what a scan of its source found: the same items, options and facts, without the source."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssl_platform.data.cache import Cache
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.claims import Claims
from ssl_platform.data.content import FEW_ITEMS, How
from ssl_platform.data.fit import fit
from ssl_platform.data.names import counted
from ssl_platform.data.quarantine import MaxBad, Quarantined, check_fraction, parse_quarantine, write_quarantine
from ssl_platform.data.scan import Scan
from ssl_platform.data.shards import facts
from ssl_platform.data.shards.about import NAME, About, look
from ssl_platform.data.shards.held import Shards
from ssl_platform.data.shards.place import Address, Place
from ssl_platform.data.shards.span import file_key
from ssl_platform.errors import DataError, Unreadable
from ssl_platform.types import Scalar

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

LOOKED_AT_BYTES = 1_000_000_000
"""`data.check=auto` compares all checksums where shards take no more than this."""

Overrides = Callable[[Catalog], Iterable[tuple[int, Mapping[str, Scalar]]]]


class PreparedData:
    """Prepared data that `--data` names.

    Args:
        place: where it is.
        about: what it is.
    """

    def __init__(self, place: Place, about: About) -> None:
        self.place, self.about = place, about

    def claims(self, labels: bool) -> Claims | None:
        """Its labels, groups and splits.

        Args:
            labels: False where others are given.
        """
        return facts.parse(self._file("manifest.csv"), labels=labels)

    def domain(self, kind: type[Domain], asked: Mapping[str, Any], cache: Cache) -> Domain:
        """The domain with the options the data was prepared with, but for those that are asked for.

        Args:
            kind: of the domain.
            asked: own options of the domain as they were given.
            cache: gets the shards.
        """
        fields = kind.Options.model_fields
        options = {name: value for name, value in self.about.options.items() if name in fields}
        options |= {name: value for name, value in asked.items() if value != fields[name].default}
        domain = kind(kind.Options.model_validate(options))
        cache.shards = Shards(self.place, self.about, cache.folder, cache.room)
        domain.cache = cache
        return domain

    def scan(
        self,
        domain: Domain,
        *,
        check: How = "auto",
        overrides: Overrides | None = None,
        max_bad_fraction: MaxBad = "auto",
        quarantine: Path | None = None,
    ) -> Scan:
        """What a scan of the source found, less what is damaged since.

        Args:
            domain: from `domain`.
            check: `data.check`; whether all checksums are compared.
            overrides: as `scan` takes them.
            max_bad_fraction: stop when more is unreadable.
            quarantine: where to write the list of what cannot be used, if anything.

        Raises:
            DataError: options other than it was prepared with, or too much is damaged.
        """
        catalog = Catalog(pq.read_table(pa.BufferReader(self._file("catalog.parquet"))))
        result = Scan(catalog, domain, lines=[self.about.line(), *self._fetched(domain), *self._left_out()])
        wrong = self._damaged(domain, check, catalog)
        result.quarantined += [Quarantined(catalog.row(i).path, why) for i, why in wrong.items()]
        whole = catalog.select([i for i in range(len(catalog)) if i not in wrong]) if wrong else catalog
        if len(whole):
            self._check_options(domain, whole)
        fitted = fit(whole, domain, overrides(whole) if overrides else ())
        result.catalog, result.domain = fitted.catalog, fitted.domain
        result.settled = {name: (value, f"as prepared: {why}") for name, (value, why) in self.about.settled.items()}
        result.settled = {n: v for n, v in result.settled.items() if self._as_prepared(domain, n)} | fitted.settled
        result.quarantined += fitted.quarantined
        if quarantine and result.quarantined:
            write_quarantine(result.quarantined, quarantine)
        check_fraction(result.quarantined, len(result.catalog), max_bad_fraction, quarantine)
        return result

    def _left_out(self) -> list[str]:
        """A line about what could not be used when the data was prepared: that was accepted then."""
        before = parse_quarantine(self._file("quarantine.csv"))
        if not before:
            return []
        return [
            f"left out when it was prepared: {counted(len(before), 'item')}, e.g. {before[0].path}: {before[0].reason} "
            f"(quarantine.csv of {self.place.name} lists all)"
        ]

    def _fetched(self, domain: Domain) -> list[str]:
        """A line about what is kept of data that lies elsewhere."""
        assert domain.cache is not None
        if not isinstance(self.place, Address):
            return []
        size, room = sum(shard.bytes for shard in self.about.shards), domain.cache.room
        kept = "all of it" if size <= room.limit else f"the latest cache.max_gb={room.max_gb:g} of {size / 1e9:.2f}"
        return [f"items are fetched into {room.folder} as they are read; it keeps {kept} (cache.max_gb bounds it)"]

    def _file(self, name: str) -> bytes:
        content = self.place.read(name)
        if content is None:
            raise DataError(f"{name} of {self.place.name} is gone: prepare the data again")
        return content

    def _as_prepared(self, domain: Domain, name: str) -> bool:
        options = domain.options.model_dump(mode="json")
        return bool(options.get(name.removeprefix("data.")) == self.about.options.get(name.removeprefix("data.")))

    def _damaged(self, domain: Domain, check: How, catalog: Catalog) -> dict[int, str]:
        """Why an item cannot be used, by number: its shard is gone or damaged, or one that holds a file of it."""
        assert domain.cache is not None and domain.cache.shards is not None
        size = sum(shard.bytes for shard in self.about.shards)
        whole = check == "full" or (check == "auto" and len(catalog) <= FEW_ITEMS and size <= LOOKED_AT_BYTES)
        found = domain.cache.shards.damaged(whole)
        if not found or self.about.form == "arrays":
            return dict(found.values())
        wrong = {}
        for item, row in enumerate(catalog.rows()):
            for path in domain.sources(row):
                if file_key(path) in found:
                    wrong[item] = found[file_key(path)][1]
        return wrong

    def _check_options(self, domain: Domain, catalog: Catalog) -> None:
        """Refuse options that shards of arrays cannot serve.

        Raises:
            DataError: names the options that differ.
        """
        if self.about.form != "arrays":
            return
        assert domain.cache is not None and domain.cache.shards is not None
        now = domain.options.model_dump(mode="json")
        differ = [f"data.{n}={v}" for n, v in self.about.options.items() if n in now and now[n] != v]
        try:
            row = domain.fit(catalog.row(0))
            found = domain.cache.shards.entry(domain.cache.key(row, domain)) is not None
        except Unreadable:
            found = not differ
        if not found:
            was = f"with {', '.join(differ)}" if differ else f"by {self.about.versions}"
            raise DataError(
                f"{self.place.name} was prepared {was}, and holds nothing else: leave the other values out, "
                "or prepare the data again"
            )


def prepared_data(paths: Sequence[str]) -> PreparedData | None:
    """The prepared data that `--data` names, or None.

    Raises:
        DataError: it is unfinished or damaged, or is named together with other data.
    """
    paths = [path for text in paths for path in _expanded(str(text))]
    found = [(path, held) for path in paths if (held := look(str(path))) is not None]
    if not found:
        return None
    if len(paths) > 1:
        other = next((path for path in paths if path != found[0][0]), paths[1])
        sources = [root for _, (_, about) in found for root in about.roots]
        sources += [path for path in paths if path not in dict(found)]
        together = "prepare their sources together" + (f": {' '.join(dict.fromkeys(sources))}" if sources else "")
        raise DataError(f"{found[0][0]} is prepared data, which is read alone: leave out {other}, or {together}")
    return PreparedData(*found[0][1])


def _expanded(text: str) -> list[str]:
    """An argument of `--data`; a glob that fits prepared data becomes what it fits."""
    fits = glob.has_magic(text) and "://" not in text and glob.glob(f"{text.rstrip('/')}/{NAME}")  # noqa: PTH207
    return sorted(glob.glob(text)) if fits else [text]  # noqa: PTH207
