"""Writing shards: items in order, each whole in one shard, a shard in its place only when it is whole.

What is finished stays finished: beside each shard lies a note of what it holds, so a run that was killed goes on behind
the last whole shard and ends with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ssl_platform.data.catalog import Catalog, as_row, record
from ssl_platform.data.shards.about import Shard
from ssl_platform.data.shards.packing import Packed
from ssl_platform.data.shards.place import Place
from ssl_platform.data.shards.span import Span, file_key, key_of, shard_name
from ssl_platform.data.shards.tar import ShardFile
from ssl_platform.data.shards.work import Job, run
from ssl_platform.errors import RunFailed, SslPlatformError
from ssl_platform.types import Row

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

Progress = Callable[[int, int], None]


@dataclass
class Made:
    """What lies in the shards so far.

    Attributes:
        shards: finished ones.
        spans: where everything lies, with its key.
        rows: items that are listed otherwise than they were scanned, by number.
        bad: why an item cannot be used, by number.
        next: the item behind the last that was looked at.
    """

    shards: list[Shard] = field(default_factory=list)
    spans: list[tuple[int, Span]] = field(default_factory=list)
    rows: dict[int, Row] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    next: int = 0

    def note(self) -> bytes:
        """As JSON."""
        return json.dumps(
            {
                "shards": [asdict(shard) for shard in self.shards],
                "spans": [[key, asdict(span)] for key, span in self.spans],
                "rows": {item: record(row) for item, row in self.rows.items()},
                "bad": self.bad,
                "next": self.next,
            }
        ).encode()

    def add(self, note: bytes) -> None:
        """Take over what the note of one shard says."""
        values: dict[str, Any] = json.loads(note)
        self.shards += [Shard(**shard) for shard in values["shards"]]
        self.spans += [(key, Span(**span)) for key, span in values["spans"]]
        self.rows |= {int(item): as_row(values) for item, values in values["rows"].items()}
        self.bad |= {int(item): why for item, why in values["bad"].items()}
        self.next = values["next"]


def note_name(number: int) -> str:
    """Where the note of a shard lies until all are written."""
    return f"notes/{number:06d}.json"


def finished(place: Place) -> Made:
    """What an earlier run has written."""
    made = Made()
    while (note := place.read(note_name(len(made.shards)))) is not None:
        made.add(note)
    return made


def make(
    catalog: Catalog,
    domain: Domain,
    place: Place,
    *,
    shard_bytes: int,
    masks: Mapping[int, Sequence[str]],
    exact: bool = False,
    resample: bool = False,
    workers: int = 0,
    progress: Progress | None = None,
) -> Made:
    """Pack the items that are not packed yet.

    Args:
        catalog: items.
        domain: packs them.
        place: gets the shards.
        shard_bytes: a shard ends before the item with which it would be larger.
        masks: paths of label masks by number of the item.
        exact: `--exact`.
        resample: whether masks on another grid are resampled.
        workers: processes; 0 packs here.
        progress: called with the number of items done and of all.

    Raises:
        RunFailed: the disk is full, a mask cannot be read, or a process was killed. What is finished stays.
        SslPlatformError: items of this kind cannot be packed.
    """
    made = finished(place)
    begun, shard = Made(next=made.next), None
    try:
        for job, outcome in run(_jobs(catalog, domain, made, masks, place, exact), domain, exact, resample, workers):
            if isinstance(outcome, SslPlatformError):
                raise outcome
            begun.next = job.item + 1
            if isinstance(outcome, str):
                begun.bad[job.item] = outcome
            else:
                need = sum(ShardFile.room(path.stat().st_size) for path in _paths(outcome))
                if shard is not None and need and shard.bytes + need > shard_bytes:
                    begun.next = job.item
                    made, begun, shard = _close(made, begun, shard, place), Made(next=job.item + 1), None
                if shard is None and need:
                    shard = ShardFile(place.drafts / "shard.tar")
                if shard is not None:
                    _add(shard, begun, job, outcome, len(made.shards))
                if outcome.row is not job.row:
                    begun.rows[job.item] = outcome.row
            shutil.rmtree(job.scratch, ignore_errors=True)
            if progress:
                progress(job.item + 1, len(catalog))
        if shard is not None:
            return _close(made, begun, shard, place)
    except OSError as error:
        raise RunFailed(_why(error, place)) from error
    made.bad |= begun.bad
    made.rows |= begun.rows
    made.next = begun.next
    return made


def _jobs(
    catalog: Catalog, domain: Domain, made: Made, masks: Mapping[int, Sequence[str]], place: Place, exact: bool
) -> Iterator[Job]:
    """The items that are left, each with the files no item before it has."""
    arrays = domain.packed_form(exact)[0] == "arrays"
    planned: set[int] = set()
    for item in range(len(catalog)):
        row = catalog.row(item)
        files = [] if arrays else [path for path in domain.sources(row) if file_key(path) not in planned]
        planned.update(map(file_key, files))
        if item >= made.next:
            yield Job(item, row, tuple(files), tuple(masks.get(item, ())), place.drafts / f"item-{item:08d}")


def _paths(packed: Packed) -> list[Any]:
    return [*packed.arrays.values(), *packed.files.values()]


def _add(shard: ShardFile, begun: Made, job: Job, packed: Packed, number: int) -> None:
    """Append what was packed of one item."""
    keyed = [(key_of(key), path) for key, path in packed.arrays.items()]
    keyed += [(file_key(name), path) for name, path in packed.files.items()]
    for at, (key, path) in enumerate(keyed):
        member = f"{job.item:08d}.{at}{'.mask' if path.name.endswith('.mask.item') else ''}{path.suffix.lower()}"
        offset, length, checksum = shard.add(member, path)
        begun.spans.append((key, Span(member, job.item, number, offset, length, checksum)))


def _close(made: Made, begun: Made, shard: ShardFile, place: Place) -> Made:
    """Put a finished shard in its place, then the note that says so."""
    number = len(made.shards)
    sha256 = shard.finish()
    begun.shards = [Shard(shard.bytes, sha256)]
    place.take(shard.path, shard_name(number))
    note = begun.note()
    place.write(note_name(number), note)
    made.add(note)
    return made


def _why(error: OSError, place: Place) -> str:
    free = place.free()
    left = "" if free is None else f", {free / 1e6:,.0f} MB free"
    what = (error.strerror or str(error)).lower()
    return f"{place.name} cannot be written ({what}{left}): finished shards stay; make room and run it again"
