"""Files to catalog: find candidates, read their headers, set aside what cannot be used.

A scan streams: rows go to disk in groups as they are read, so memory does not grow with the data. It starts from the
catalog of the last scan of the same input and reads again only what changed.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ssl_platform.data import channels
from ssl_platform.data.catalog import SCAN_SCHEMA, Catalog, record
from ssl_platform.data.files import replace_file, stand_in
from ssl_platform.data.fingerprint import fingerprint, state
from ssl_platform.data.fit import fit
from ssl_platform.data.joining import join_rows, manifest_roots, numbered_items, only_named
from ssl_platform.data.masks import fits, set_aside
from ssl_platform.data.notes import note_lines
from ssl_platform.data.order import key
from ssl_platform.data.paths import Root, candidates, expand, named_tables, nothing_found
from ssl_platform.data.previous import Previous
from ssl_platform.data.quarantine import MaxBad, Quarantined, check_fraction, one_line, write_quarantine
from ssl_platform.data.unlike import unlike
from ssl_platform.data.upkeep import default_folder
from ssl_platform.errors import Aside, Unreadable
from ssl_platform.types import Row, Scalar

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

_GROUP = 4096
_SLICE = 256
_CHANGED = "it changed while it was being read, twice: scan again when nothing writes to it"


@dataclass
class Scan:
    """What a scan found.

    Attributes:
        catalog: readable items, in the grid windows are read from.
        domain: reads them: as given, with the options settled that depend on the set.
        settled: those options, each with value and reason.
        quarantined: items that cannot be used.
        masks: files set aside as label masks, each with the reason (`masks.aside_lines` words them).
        lines: what was joined and what readers noted, for the user.
        reused: items taken over from the last scan because nothing changed.
        read: items read now.
    """

    catalog: Catalog
    domain: Domain
    settled: dict[str, tuple[Any, str]] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    masks: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    reused: int = 0
    read: int = 0


def scan(
    data: Sequence[str | Path],
    domain: Domain,
    *,
    folder: Path | None = None,
    include: str | None = None,
    masks: Sequence[str | Path] = (),
    items: Sequence[channels.Item] | None = None,
    overrides: Callable[[Catalog], Iterable[tuple[int, Mapping[str, Scalar]]]] | None = None,
    max_bad_fraction: MaxBad = "auto",
    quarantine: Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Index everything `data` names.

    Args:
        data: files, folders, globs.
        domain: reads the headers, from several threads at once.
        folder: cache folder where the catalog is kept for the next scan; None for the default.
        include: glob of files to use although they look like masks (`data.include`).
        masks: files and folders known to be masks (a manifest's `mask` column, `--labels FOLDER`).
        items: of the manifest that `data` then names: exactly these are read, and those that are not there are listed.
        overrides: given the catalog as scanned, row numbers with the values of columns that overrule the file header
            (`Facts.overrides`).
        max_bad_fraction: stop when more is unreadable (`data.max_bad_fraction`).
        quarantine: where to write the list of what cannot be used, if anything.
        workers: threads; None for up to four.
        progress: called with the number of candidates done and of all, after each group.

    Raises:
        DataError: nothing there, nothing readable, or too much unreadable.
    """
    roots, absent = (expand(data), []) if items is None else manifest_roots(items, str(data[0]))
    found = list(candidates(roots, domain))
    bases = dict.fromkeys(root.base for root in roots)
    # A manifest says what is an image: names that look like masks stay, unless it names them as masks.
    shown = include if items is None else "*"
    tables = named_tables(roots)
    looked = [path for _, path in found if path not in tables]
    _, aside = set_aside(looked, shown, roots=bases, masks=masks, suffixes=domain.suffixes)
    if aside:
        found = [pair for pair in found if pair[1] not in aside]
    if not found:
        raise nothing_found(data, roots, domain, len(aside))
    path = _catalog_path(folder or default_folder(), data, domain, include)
    result = Scan(Catalog(SCAN_SCHEMA.empty_table()), domain, quarantined=absent, masks=aside)
    several, result.lines = numbered_items([p for _, p in found], domain.suffixes) if items is None else (items, [])
    _stream(found, domain, path, result, workers or min(4, os.cpu_count() or 1), progress, shown)
    scanned, missing = only_named(Catalog.open(path), items or ())
    result.quarantined += missing
    scanned, apart = join_rows(scanned, [item for item in several if item.channels])
    result.quarantined += apart
    fitted = fit(scanned, domain, overrides(scanned) if overrides else ())
    result.catalog, result.domain, result.settled = fitted.catalog, fitted.domain, fitted.settled
    result.quarantined += fitted.quarantined
    odd = unlike(result.catalog, result.domain.layout)
    if odd:
        result.quarantined += [Quarantined(result.catalog.row(i).path, why) for i, why in odd.items()]
        result.catalog = result.catalog.select([i for i in range(len(result.catalog)) if i not in odd])
    result.lines += note_lines(result.catalog)
    if quarantine and result.quarantined:
        write_quarantine(result.quarantined, quarantine)
    check_fraction(result.quarantined, len(result.catalog), max_bad_fraction, quarantine)
    return result


def _catalog_path(folder: Path, data: Sequence[str | Path], domain: Domain, include: str | None) -> Path:
    """Where the catalog of this input, read by this domain with these options, is kept."""
    named = [os.path.abspath(os.path.expanduser(d)) for d in data]  # noqa: PTH100, PTH111
    kind = f"{type(domain).__module__}.{type(domain).__qualname__}"
    name = key(domain.name, kind, domain.options.model_dump_json(), include or "", *named)
    catalogs = folder / "catalogs"
    catalogs.mkdir(parents=True, exist_ok=True, mode=0o700)
    return catalogs / f"{name:016x}.arrow"


def _stream(
    found: list[tuple[Root, str]],
    domain: Domain,
    path: Path,
    result: Scan,
    workers: int,
    progress: Callable[[int, int], None] | None,
    include: str | None = None,
) -> None:
    """Read what changed, take over the rest, write all to `path` in groups."""
    previous = Previous.open(path)
    ids = _Ids()
    done = 0
    with (
        replace_file(path) as temporary,
        pa.ipc.new_file(str(temporary), SCAN_SCHEMA) as stream,
        ThreadPoolExecutor(workers) as pool,
    ):
        for group in _grouped(found, _GROUP):
            paths = [path for _, path in group]
            slices = [paths[i : i + _SLICE] for i in range(0, len(paths), _SLICE)]
            states = list(itertools.chain(*pool.map(_states, slices)))
            known = previous.rows(paths, states)
            ids.take(previous.ids(itertools.chain(*known)))
            fresh = [i for i, rows in enumerate(known) if not rows]
            read = pool.map(read_item, (group[i][1] for i in fresh), itertools.repeat(domain))
            outcomes = dict(zip(fresh, read, strict=True))
            # each piece is a list of new records or of row numbers of the previous catalog, in the order found
            pieces: list[dict[str, Any] | int] = []
            for i, (root, text) in enumerate(group):
                if known[i]:
                    pieces += known[i]
                    result.reused += 1
                    continue
                outcome = outcomes[i]
                if isinstance(outcome, str):
                    result.quarantined.append(Quarantined(text, outcome))
                    continue
                if outcome.aside and not (include and fits(os.path.relpath(text, root.base), include)):
                    result.masks[text] = outcome.aside
                    continue
                result.read += 1
                if outcome.problem:
                    result.quarantined.append(Quarantined(text, outcome.problem))
                for row in ids.name(outcome.rows, text, root):
                    size, changed = outcome.state
                    pieces.append(
                        {**record(row), "source": root.argument, "file_bytes": size, "file_changed_ns": changed}
                    )
            stream.write_table(previous.weave(pieces))
            done += len(group)
            if progress:
                progress(done, len(found))


@dataclass(frozen=True)
class Item:
    """What was read of one candidate.

    Attributes:
        rows: its items.
        state: of the file they belong to, or one no file has, so that a candidate with a problem is read again.
        problem: why some of its content cannot be used, or None.
        aside: why it is no item, or None.
    """

    rows: list[Row]
    state: tuple[int, int]
    problem: str | None = None
    aside: str | None = None


def read_item(path: str, domain: Domain) -> Item | str:
    """The rows of one file or folder with their fingerprints, or why it cannot be used.

    A file whose size or time of change differs after reading is read once more.
    """
    try:
        for _ in range(2):
            before = state(path)
            if before[0] == 0:
                return "it is empty"
            rows, problem, aside = _rows(path, domain)
            content = fingerprint(path)
            if state(path) == before:
                found = [_complete(row, path, before[0], content, len(rows)) for row in rows]
                return Item(found, (-1, -1) if problem or aside else before, problem, aside)
        return _CHANGED
    except MemoryError:
        raise
    except FileNotFoundError as error:
        return "a link to what is not there" if os.path.islink(path) else one_line(error)  # noqa: PTH114
    except Exception as error:
        # a reader of some format may raise anything on a damaged file; the limit on bad files bounds what hides here
        return stand_in(Path(path)) or one_line(error)


def _rows(path: str, domain: Domain) -> tuple[list[Row], str | None, str | None]:
    """The rows a domain finds; when it finds some and then fails, they stand and the reason is told.

    Returns:
        The rows, what was wrong with the rest, and why the file is no item.
    """
    rows: list[Row] = []
    try:
        for row in domain.scan(Path(path)):
            rows.append(row)  # noqa: PERF402 - extend would lose what came before an error
    except Aside as beside:
        return rows, None, beside.why
    except Unreadable as error:
        if not rows:
            raise
        return rows, error.why, None
    if not rows:
        raise Unreadable("nothing in it can be read")
    return rows, None, None


def _complete(row: Row, path: str, size: int, content: str, rows: int) -> Row:
    if rows > 1 and not row.fingerprint:
        content = f"{key(content, row.id):016x}{content[:16]}"  # parts of one file are not copies of each other
    return row.replace(path=row.path or path, bytes=row.bytes or size, fingerprint=row.fingerprint or content)


def _states(paths: Sequence[str]) -> list[tuple[int, int] | None]:
    """The state of each file, None where it cannot be looked at."""
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            found.append(state(path))
        except OSError:
            found.append(None)
    return found


class _Ids:
    """Gives every row an id of its own: the path relative to its root, as short as keeps it unique."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._count: Counter[str] = Counter()

    def take(self, ids: Sequence[str]) -> None:
        self._seen.update(map(hash, ids))

    def name(self, rows: Sequence[Row], path: str, root: Root) -> Iterator[Row]:
        relative = os.path.relpath(path, root.base)
        relative = Path(path).name if relative == "." else Path(relative).as_posix()
        for row in rows:
            part = f"#{row.id}" if len(rows) > 1 else ""
            for name in itertools.chain((f"{relative}{part}", f"{root.base.name}/{relative}{part}"), (path + part,)):
                if hash(name) not in self._seen:
                    break
            self._seen.add(hash(name))
            yield row.replace(id=name)


def _grouped(found: list[tuple[Root, str]], size: int) -> Iterator[list[tuple[Root, str]]]:
    for start in range(0, len(found), size):
        yield found[start : start + size]
