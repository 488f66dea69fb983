"""`ssl-platform prepare`: from data as it is found to shards that `--data` reads."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssl_platform.config.compose import complete
from ssl_platform.config.schema import RunConfig
from ssl_platform.data.catalog import SCHEMA, Catalog
from ssl_platform.data.progress import Bar
from ssl_platform.data.quarantine import Quarantined, check_fraction, write_quarantine
from ssl_platform.data.shards import facts
from ssl_platform.data.shards.about import NAME, UNFINISHED, About, look, parse
from ssl_platform.data.shards.make import Made, finished, make
from ssl_platform.data.shards.place import Folder, Place, place_of
from ssl_platform.data.shards.span import file_key, write_index
from ssl_platform.data.split_file import write as write_splits
from ssl_platform.domain import Domain
from ssl_platform.errors import DataError
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plugins import registry
from ssl_platform.survey import named_files, quarantine_lines, tell_domain

SHARD_MB = 256
_PARALLEL_BYTES = 200_000_000
_MASK_BYTES = 2  # of a cell


def prepare(
    config: RunConfig,
    out: str | Path,
    *,
    shard_mb: float = SHARD_MB,
    exact: bool = False,
    echo: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Write what `--data` accepts: items in the form they are read from, packed into shards, with all facts.

    A run that was stopped goes on where it was, and ends with the same bytes.

    Args:
        config: names data, labels and domain; without a domain, it is told from the files.
        out: folder, or an address that fsspec knows.
        shard_mb: a shard is at most about this large, unless one item is.
        exact: windows must be those of the source bit for bit, also where another form would be read faster.
        echo: where the lines go.

    Returns:
        folder, items, quarantined, shards, bytes, form, lossless.

    Raises:
        UsageError: the data cannot be used, or `out` holds something else.
        RunFailed: the disk is full; what is finished stays.
    """
    if shard_mb <= 0:
        raise DataError(f"--shard-size {shard_mb:g}: a size in MB above zero")
    if look_again := _prepared(config.data.paths):
        raise DataError(f"{look_again} is prepared data already: give its source, or use it as --data")
    place = place_of(out)
    if config.domain is None:
        domain = tell_domain(named_files(config), registry())
        echo(f"domain: {domain}, told from the files (--domain names another)")
        config = complete(config, domain, registry())
    _check_place(place)
    data = open_data(config, out=sys.stderr)
    for line in data.lines:
        echo(line)
    about = _about(config, data, shard_mb, exact)
    if place.read(NAME) is not None:
        return _already(place, about, echo)
    begun = _begin(place, about, data.domain)
    if begun:
        echo(f"going on behind {begun:,} of {len(data.catalog):,} items")
    _say_size(data, place, about, begun, echo)
    with Bar("prepare", sys.stderr, unit="items", begun=begun) as bar:
        made = make(
            data.catalog,
            data.domain,
            place,
            shard_bytes=about.shard_bytes,
            masks=_masks(data),
            exact=exact,
            resample=config.labels.resample is not None,
            workers=_workers(config, data),
            progress=bar,
        )
    made.bad |= _without_files(data, made, about)
    bad = [Quarantined(data.catalog.row(i).path, why) for i, why in sorted(made.bad.items())]
    check_fraction([*data.quarantined, *bad], len(data.catalog) - len(bad), config.data.max_bad_fraction)
    about = replace(about, items=len(data.catalog) - len(bad), shards=tuple(made.shards))
    _finish(place, about, data, made, [*data.quarantined, *bad])
    for line in quarantine_lines([*data.quarantined, *bad], None):
        echo(line)
    echo(about.line())
    echo(f"use it: ssl-platform pretrain --domain {about.domain} --data {place.name}")
    return _result(place, about, len(data.quarantined) + len(bad))


def _prepared(paths: Sequence[str]) -> str | None:
    return next((str(path) for path in paths if look(str(path)) is not None), None)


def _check_place(place: Place) -> None:
    """Refuse to write among other files.

    Raises:
        DataError: something else is there.
    """
    if place.read(NAME) is None and place.read(UNFINISHED) is None and not place.empty():
        raise DataError(f"{place.name} is not empty and holds no preparation: name a new or empty folder")


def _about(config: RunConfig, data: OpenData, shard_mb: float, exact: bool) -> About:
    """What will be written, before any of it is."""
    domain = data.domain
    form, lossless = domain.packed_form(exact)
    words = domain.packed_words or ("arrays as the cache keeps them" if form == "arrays" else "their files")
    resolved = {name: config.source(f"data.{name}") for name in type(domain).Options.model_fields}
    return About(
        domain=str(config.domain),
        form=form,
        words="files as they were" if exact and form == "files" else words,
        lossless=lossless and all(domain.packed_exactly(row) for row in data.rows),
        options=domain.options.model_dump(mode="json"),
        settled={
            name: (getattr(domain.options, name), source.removeprefix("resolved "))
            for name, source in resolved.items()
            if source.startswith("resolved ")
        },
        data_id=data.catalog.id,
        items=len(data.catalog),
        labels=config.labels.model_dump(mode="json", exclude_defaults=True),
        roots=tuple(os.path.abspath(path) for path in config.data.paths),  # noqa: PTH100 - links stay unresolved
        masks=len(_masks(data)),
        shard_bytes=int(shard_mb * 1e6),
        versions=_versions(config),
    )


def _versions(config: RunConfig) -> dict[str, str]:
    from ssl_platform import __version__

    owner = registry().owner(registry().domain(str(config.domain)))
    return {"ssl-platform": __version__, owner.distribution: owner.version}


def _begin(place: Place, about: About, domain: Domain) -> int:
    """Note what is being prepared, or check that it is what an earlier run began; return the items it has done.

    Raises:
        DataError: another preparation was begun there.
    """
    content = place.read(UNFINISHED)
    if content is not None:
        _same(place, parse(content, place.name), about)
        return finished(place).next
    if isinstance(place, Folder):
        try:
            place.path.mkdir(parents=True, exist_ok=True, mode=0o700 if domain.sensitive else 0o777)
        except OSError as error:
            raise DataError(f"{place.name} cannot be written ({error.strerror}): name another folder") from error
    place.write(UNFINISHED, about.dump())
    return 0


def _same(place: Place, before: About, now: About) -> None:
    """Refuse to mix two preparations.

    Raises:
        DataError: says what differs.
    """
    names = ("domain", "form", "lossless", "options", "data_id", "labels", "masks", "shard_bytes", "versions")
    differ = [name for name in names if _plain(getattr(before, name)) != _plain(getattr(now, name))]
    if differ:
        name = differ[0]
        was, wanted = getattr(before, name), getattr(now, name)
        if isinstance(was, Mapping) and isinstance(wanted, Mapping):
            key = next(k for k in {**was, **wanted} if _plain(was.get(k)) != _plain(wanted.get(k)))
            name, was, wanted = f"{name} {key}", was.get(key), wanted.get(key)
        raise DataError(
            f"{place.name} holds another preparation, whose {name.replace('_', ' ')} is {was} and not {wanted}: "
            "name another folder, or remove it"
        )


def _plain(value: Any) -> Any:
    import json

    return json.loads(json.dumps(value, default=str))


def _already(place: Place, about: About, echo: Callable[[str], None]) -> dict[str, Any]:
    """What is said where all was done before.

    Raises:
        DataError: what is there is something else.
    """
    content = place.read(NAME)
    assert content is not None
    there = parse(content, place.name)
    _same(place, there, about)
    echo(f"nothing to do: {there.line()}")
    quarantined = len((place.read("quarantine.csv") or b"").splitlines()) - 1
    return _result(place, there, quarantined)


def _result(place: Place, about: About, quarantined: int) -> dict[str, Any]:
    return {
        "folder": place.name,
        "domain": about.domain,
        "items": about.items,
        "quarantined": quarantined,
        "shards": len(about.shards),
        "bytes": sum(shard.bytes for shard in about.shards),
        "form": about.form,
        "lossless": about.lossless,
    }


def _masks(data: OpenData) -> dict[int, list[str]]:
    """Masks to pack, of domains that read masks."""
    reads = type(data.domain).read_mask is not Domain.read_mask
    return facts.masks_of(data.facts) if reads else {}


def _workers(config: RunConfig, data: OpenData) -> int:
    if config.data.workers != "auto":
        return int(config.data.workers)
    few = sum(data.catalog.column("bytes")) < _PARALLEL_BYTES
    return 0 if few else min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 16)


def _say_size(data: OpenData, place: Place, about: About, begun: int, echo: Callable[[str], None]) -> None:
    """How much is going to be written, and whether it fits."""
    sizes = [data.domain.packed_bytes(row) for row in data.rows]
    need = sum(size or 0 for size in sizes)
    need += sum(len(paths) * math.prod(data.rows[i].shape) * _MASK_BYTES for i, paths in _masks(data).items())
    source = sum(data.catalog.column("bytes")) / 1e9
    told = f"at most about {need / 1e9:.2f} GB" if None not in sizes else "of a size that is not known before"
    free = place.free()
    room = "" if free is None else f", {free / 1e9:.1f} GB free"
    exactness = "" if about.lossless else "; windows not bit for bit those of the source"
    if not about.lossless and not data.domain.packed_form()[1]:
        exactness += " (--exact packs files as they are)"
    echo(f"prepare: {len(data.catalog):,} items as {about.words}, {told} (source: {source:.2f} GB{room}){exactness}")
    if free is not None and not begun and about.form == "arrays" and data.domain.prepares and need > free:
        raise DataError(
            f"{place.name} has {free / 1e9:.1f} GB free and {need / 1e9:.1f} GB are needed: name another disk"
        )


def _without_files(data: OpenData, made: Made, about: About) -> dict[int, str]:
    """Items that share a file with one that could not be packed."""
    if about.form == "arrays":
        return {}
    there = {key for key, _ in made.spans}
    missing: dict[int, str] = {}
    for item, row in enumerate(data.catalog.rows()):
        lacking = next((path for path in data.domain.sources(row) if file_key(path) not in there), None)
        if lacking is not None and item not in made.bad:
            missing[item] = f"{Path(lacking).name} could not be packed"
    return missing


def _finish(place: Place, about: About, data: OpenData, made: Made, quarantined: list[Quarantined]) -> None:
    """Write everything beside the shards; `prepared.json`, which says that all is there, last."""
    drafts = place.drafts
    drafts.mkdir(parents=True, exist_ok=True)
    kept = [i for i in range(len(data.catalog)) if i not in made.bad]
    rows = [made.rows.get(i, data.catalog.row(i)) for i in kept]
    number = {old: new for new, old in enumerate(kept)}
    table = Catalog.of(rows).table.select(SCHEMA.names).combine_chunks()
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    place.write("catalog.parquet", sink.getvalue().to_pybytes())
    write_index([(key, replace(span, item=number.get(span.item, -1))) for key, span in made.spans], drafts / "index")
    place.take(drafts / "index", "index.parquet")
    place.write("manifest.csv", facts.dump(data.facts, data.rows, made.bad))
    if data.splits.id:
        write_splits(drafts / "splits", data.facts, data.splits.codes)
        place.take(drafts / "splits", "splits.csv")
    write_quarantine(quarantined, drafts / "quarantine")
    place.take(drafts / "quarantine", "quarantine.csv")
    place.write(NAME, about.dump())
    place.remove(UNFINISHED)
    place.remove("notes")
    shutil.rmtree(drafts, ignore_errors=True)
