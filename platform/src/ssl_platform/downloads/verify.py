"""Whether a public dataset was downloaded whole."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ssl_platform.config.overrides import parse_overrides
from ssl_platform.downloads.rows import (
    Download,
    files_of,
    folder_of,
    part_of,
    publisher,
    rows_of,
    stored_in,
    write_rows,
)
from ssl_platform.downloads.tell import holds
from ssl_platform.errors import DataError, Unreadable, UsageError
from ssl_platform.plugins import DatasetDeclaration

if TYPE_CHECKING:
    from ssl_platform.data.catalog import Catalog
    from ssl_platform.data.facts import Facts
    from ssl_platform.data.quarantine import Quarantined
    from ssl_platform.domain import Domain


def verify_download(
    dataset: DatasetDeclaration, folder: str | Path, *, quick: bool = False, out: TextIO | None = None
) -> Download:
    """Check that every file of a dataset is there and can be read.

    Small sets are read to their end (as `scan` does), of larger ones the headers. Of a dataset without an adapter only
    the files its layout names are looked for.

    Args:
        dataset: its declaration; the adapter yields manifest rows for a folder.
        folder: where it was downloaded to.
        quick: look only whether files are there and not empty.
        out: where progress is shown.

    Raises:
        DataError: the folder, or the list of files the dataset brings, is absent or damaged.
    """
    root = folder_of(folder, dataset)
    problems = [f"{pattern}: nothing like it is there" for pattern in dataset.files if not holds(root, pattern)]
    if not dataset.factory:
        return Download(dataset.name, str(root), 0, {}, "names only: this dataset has no adapter yet", problems)
    if len(problems) == len(dataset.files) > 0:
        raise DataError(f"{folder}: nothing of {dataset.name} is in it; it is found at {publisher(dataset)}")
    seen: dict[str, str | None] = {}
    whole: dict[tuple[str, ...], str] = {}
    for row in rows_of(dataset, root):
        files = files_of(row)
        for path in map(stored_in, (*files, *([row["mask"]] if row.get("mask") else []))):
            if path not in seen:
                seen[path] = _absent(root / path)
        whole.setdefault(files, part_of(row))
    bad = {path: why for path, why in seen.items() if why}
    read = "names and sizes of files"
    if not quick and dataset.domain and len(bad) < len(whole):
        unread, read = _read(dataset, root, bad, out)
        bad = unread | bad
    problems += [f"{path}: {why}" for path, why in sorted(bad.items())]
    splits = Counter(part for part in whole.values() if part)
    problems += _counts(dataset, len(whole), splits)
    return Download(dataset.name, str(root), len(whole), dict(sorted(splits.items())), read, problems)


def _absent(path: Path) -> str | None:
    """Why a file is not what a download leaves there."""
    from ssl_platform.data.files import stand_in

    try:
        if path.is_dir():
            return None if any(path.iterdir()) else "an empty folder"
        return "empty" if path.stat().st_size == 0 else stand_in(path)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _read(
    dataset: DatasetDeclaration, root: Path, bad: Mapping[str, str], out: TextIO | None
) -> tuple[dict[str, str], str]:
    """What a run would refuse of the files that are there, by file, and how far they were read."""
    from ssl_platform.configure import configure
    from ssl_platform.data import labels, splits
    from ssl_platform.data.content import look
    from ssl_platform.data.manifest import read_manifest
    from ssl_platform.data.progress import Bar
    from ssl_platform.data.quarantine import parse_quarantine
    from ssl_platform.data.scan import scan
    from ssl_platform.opening import make_domain

    found: dict[str, str] = {}
    unusable: list[Quarantined] = []
    read = "headers"
    with tempfile.TemporaryDirectory() as scratch:
        path, listed = Path(scratch) / f"{dataset.name}.csv", Path(scratch) / "quarantine.csv"
        write_rows(dataset, root, path, without=bad)
        config = configure("scan", domain=dataset.domain, overrides=dict(parse_overrides(dataset.settings)))
        config.cache.dir = scratch
        domain = make_domain(config)
        manifest = read_manifest(path, config.labels, declared=domain.columns)

        def join(catalog: Catalog) -> Facts:
            return labels.resolve(list(catalog.rows()), config.labels, manifest=manifest.claims, domain=domain)

        try:
            with Bar("headers", out) as bar:
                scanned = scan(
                    [str(path)],
                    domain,
                    folder=Path(scratch),
                    items=manifest.items,
                    masks=manifest.masks,
                    overrides=lambda catalog: join(catalog).overrides(domain),
                    max_bad_fraction=1.0,
                    quarantine=listed,
                    progress=bar,
                )
            scanned.domain.cache = domain.cache
            seen = look(scanned.catalog, scanned.domain, config.data.check, keep=False, out=out)
            unusable, read = [*scanned.quarantined, *seen.quarantined], seen.lines[-1].removeprefix("content: ")
            facts = join(seen.catalog)
            found = _masks(seen.catalog, facts, scanned.domain, root, out)
            splits.resolve(list(seen.catalog.rows()), facts, config.labels)
        except UsageError as error:
            found["as a whole"] = str(error)
            unusable = unusable or (parse_quarantine(listed.read_bytes()) if listed.exists() else [])
    return found | {_short(item.path, root): item.reason for item in unusable}, read


def _masks(catalog: Catalog, facts: Facts, domain: Domain, root: Path, out: TextIO | None) -> dict[str, str]:
    """Masks that cannot be read or do not lie on the grid of their images."""
    from ssl_platform.data.progress import Bar
    from ssl_platform.data.quarantine import one_line

    bad = {}
    pairs = [(int(row), mask) for row, mask in zip(facts.row.tolist(), facts.mask, strict=True) if mask]
    with Bar("masks", out) as bar:
        for done, (row, mask) in enumerate(pairs, 1):
            try:
                domain.read_mask(catalog.row(row), Path(mask))
            except (Unreadable, OSError, ValueError, EOFError) as error:
                bad[_short(mask, root)] = error.why if isinstance(error, Unreadable) else one_line(error)
            bar(done, len(pairs))
    return bad


def _short(path: str, root: Path) -> str:
    return os.path.relpath(path, root) if path.startswith(f"{root}{os.sep}") else path


def _counts(dataset: DatasetDeclaration, items: int, splits: Mapping[str, int]) -> list[str]:
    """Where a download has not as many items as were published."""
    lines = []
    if dataset.items and items != dataset.items:
        lines.append(f"{items:,} items, a complete download has {dataset.items:,}")
    for part, size in dataset.sizes.items():
        if splits.get(part, 0) != size:
            lines.append(f"{part}: {splits.get(part, 0):,} items, the published split has {size:,}")
    return lines
