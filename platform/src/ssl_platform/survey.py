"""What a command that reads data would use: `ssl-platform scan`, the check to run first."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ssl_platform.config.compose import complete
from ssl_platform.config.schema import RunConfig
from ssl_platform.data.manifest import read_manifest, write_manifest
from ssl_platform.data.paths import candidates, expand
from ssl_platform.data.quarantine import Quarantined, check_fraction, write_quarantine
from ssl_platform.data.shards.reopen import prepared_data
from ssl_platform.data.summary import label_counts, summarise
from ssl_platform.domain import Domain
from ssl_platform.errors import DataError, Unreadable
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plugins import Registry, registry

SHOWN = 10  # quarantined files that are named on the screen
_LOOKS = 5  # files of which a header is read to tell a domain


def survey(config: RunConfig, *, out: Path | None = None, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Look at data and labels as a run would, and say what would be used, set aside and quarantined.

    Args:
        config: without a domain, it is told from the files.
        out: an editable manifest to write; files that cannot be used go to `<out>_quarantine.csv` beside it.
        echo: where the lines go.

    Returns:
        counts: items, quarantined, masks set aside, labels, splits.

    Raises:
        UsageError: nothing there, labels and splits that cannot be used, or (after all was said) more that cannot be
            used than a run would accept.
    """
    known = registry()
    if config.domain is None:
        domain = tell_domain(named_files(config), known)
        echo(f"domain: {domain}, told from the files (--domain names another)")
        config = complete(config, domain, known)
    listed = None if out is None else out.with_name(f"{out.stem}_quarantine.csv")
    found = open_data(config, quarantine=listed, out=sys.stderr)
    for line in found.lines:
        if not any(fuller.startswith(f"{line}, ") for fuller in found.lines):  # a task, before its classes were read
            echo(line)
    for line in summarise(found.rows, found.facts, found.splits):
        if line not in found.lines:  # the splits' own notes were among what opening decided
            echo(line)
    for line in shapes(found):
        echo(line)
    for line in quarantine_lines(found.quarantined, listed):
        echo(line)
    if out is not None:
        if listed is not None and found.quarantined:
            write_quarantine(found.quarantined, listed)
        echo(f"manifest: {write_manifest(found.rows, found.facts, out, found.splits.codes)}")
    check_fraction(found.quarantined, len(found.catalog), config.data.max_bad_fraction, listed, hint=None)
    return {
        "domain": config.domain,
        "items": len(found.catalog),
        "quarantined": len(found.quarantined),
        "masks_set_aside": len(found.masks),
        "labels": label_counts(found.facts),
        "split_id": found.splits.id,
        "manifest": None if out is None else str(out),
    }


def named_files(config: RunConfig) -> list[str]:
    """What is looked at to tell a domain: `--data`, else the files of the manifest that exist.

    Raises:
        DataError: the manifest cannot be used.
    """
    if config.data.paths or config.data.manifest is None:
        return list(config.data.paths)
    items = read_manifest(config.data.manifest, config.labels).items
    files = [file for item in items for file in (item.channels.values() or [item.path])]
    return [file for file in files if file is not None and Path(file).exists()]


def tell_domain(paths: Sequence[str], known: Registry) -> str:
    """The installed domain whose files these are.

    That is the only one that reads files of such names; of several the one that reads the headers of most, of a few
    files looked at; of those the one whose files include all that the others would read.

    Raises:
        DataError: none does, or several do.
    """
    prepared = prepared_data(paths)
    if prepared is not None:
        return prepared.about.domain
    roots = expand(paths)
    domains: dict[str, Domain] = {}
    claims: dict[str, Mapping[str, None]] = {}
    for declared in known.domains():
        kind: Any = known.load(declared)
        domains[declared.name] = kind()
        claims[declared.name] = dict.fromkeys(path for _, path in candidates(roots, domains[declared.name]))
    claims = {name: files for name, files in claims.items() if files}
    if not claims:
        names = ", ".join(domain.name for domain in known.domains()) or "none"
        raise DataError(f"no installed domain reads anything in {', '.join(paths)} (installed: {names})")
    if len(claims) > 1:
        read = {name: _read(domains[name], [*files]) for name, files in claims.items()}
        claims = _widest({name: files for name, files in claims.items() if read[name] == max(read.values())})
    if len(claims) > 1:
        counts = ", ".join(f"{name} ({len(files)} files)" for name, files in sorted(claims.items()))
        raise DataError(f"several domains read files of these: {counts}; say --domain")
    return next(iter(claims))


def _read(domain: Domain, files: Sequence[str]) -> int:
    """Of how many of a few files, evenly taken, the domain reads the header; those over which it breaks count."""
    known = 0
    for path in files[:: -(-len(files) // _LOOKS)]:
        try:
            known += any(True for _ in islice(domain.scan(Path(path)), 1))
        except Unreadable:
            continue
        except Exception:  # whoever asks for this domain by name is told what is wrong with it
            known += 1
    return known


def _widest(claims: Mapping[str, Mapping[str, None]]) -> dict[str, Mapping[str, None]]:
    """The one whose files include all those of every other and more, or all of them where none is such."""
    name = max(claims, key=lambda one: len(claims[one]))
    mine = claims[name].keys()
    widest = all(files.keys() < mine for other, files in claims.items() if other != name)
    return {name: claims[name]} if widest else dict(claims)


def shapes(found: OpenData) -> list[str]:
    """Sizes, spacings and channels of the items, each as a range or the most common ones."""
    rows = found.rows
    axes = found.domain.layout.spatial
    lines = []
    if rows and len({len(row.shape) for row in rows}) == 1:
        bounds = [(min(sizes), max(sizes)) for sizes in zip(*(row.shape for row in rows), strict=True)]
        names = axes if len(axes) == len(bounds) else ("points",)
        sizes = ", ".join(
            f"{n} {low}" if low == high else f"{n} {low} to {high}"
            for n, (low, high) in zip(names, bounds, strict=True)
        )
        lines.append(f"size in cells: {sizes}")
    channels = Counter(row.channels for row in rows)
    if channels:
        kinds = ", ".join(f"{'+'.join(names) or '?'} ({count})" for names, count in channels.most_common(5))
        lines.append(f"channels: {kinds}")
    total = sum(row.bytes for row in rows)
    return [*lines, f"on disk: {total / 1e9:.2f} GB" if total >= 1e8 else f"on disk: {total / 1e6:.2f} MB"]


def quarantine_lines(quarantined: Sequence[Quarantined], listed: Path | None) -> list[str]:
    """What cannot be used, by name and cause."""
    if not quarantined:
        return ["quarantined: none"]
    lines = [f"quarantined: {len(quarantined)}"]
    lines += [f"  {item.path}: {item.reason}" for item in quarantined[:SHOWN]]
    if len(quarantined) > SHOWN:
        rest = len(quarantined) - SHOWN
        lines.append(f"  and {rest} more" + (f", all in {listed}" if listed else ": --out writes the whole list"))
    return lines
