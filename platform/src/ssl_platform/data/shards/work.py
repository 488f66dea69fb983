"""Packing items, here or in worker processes: results come in the order of the items, errors as values."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_platform.data.entry import write_entry
from ssl_platform.data.prepared import Prepared, settle
from ssl_platform.data.quarantine import one_line
from ssl_platform.data.shards.packing import Packed
from ssl_platform.errors import Misfit, RunFailed, SslPlatformError, Unreadable
from ssl_platform.types import Row

if TYPE_CHECKING:
    from ssl_platform.domain import Domain


@dataclass(frozen=True)
class Job:
    """One item to pack.

    Attributes:
        item: its number.
        row: as scanned and fitted.
        files: its files that no earlier item packs.
        masks: paths of its label masks.
        scratch: folder for its drafts.
    """

    item: int
    row: Row
    files: tuple[str, ...]
    masks: tuple[str, ...]
    scratch: Path


Outcome = Packed | str | SslPlatformError


def run(
    jobs: Iterable[Job], domain: Domain, exact: bool, resample: bool, workers: int
) -> Iterator[tuple[Job, Outcome]]:
    """Pack items, a few ahead of what is asked for.

    Args:
        jobs: in order.
        domain: packs them.
        exact: `--exact`.
        resample: whether masks on another grid are resampled.
        workers: processes; 0 packs here.

    Yields:
        Each job with what it gave: what was packed, why the item cannot be used, or what stops everything.
    """
    if workers == 0:
        for job in jobs:
            yield job, pack_one(job, domain, exact, resample)
        return
    waiting: deque[tuple[Job, Future[Outcome]]] = deque()
    jobs = iter(jobs)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            while True:
                for job in itertools.islice(jobs, 2 * workers - len(waiting)):
                    waiting.append((job, pool.submit(pack_one, job, domain, exact, resample)))
                if not waiting:
                    return
                job, future = waiting.popleft()
                yield job, future.result()
        except BrokenProcessPool:
            raise RunFailed("a process that packed items was killed: out of memory? lower data.workers") from None
        finally:
            for _, future in waiting:
                future.cancel()


def pack_one(job: Job, domain: Domain, exact: bool, resample: bool) -> Outcome:
    """Pack an item and its masks (in a worker)."""
    shutil.rmtree(job.scratch, ignore_errors=True)
    job.scratch.mkdir(parents=True)
    try:
        packed = domain.pack(job.row, job.files, job.scratch, exact)
        row = job.row if packed.row is job.row else domain.fit(packed.row)  # as it will be read
        for number, path in enumerate(job.masks):
            _pack_mask(packed, row, path, domain, resample, job.scratch / f"{number}.mask")
        return packed
    except MemoryError:
        raise
    except OSError as error:
        if error.errno is not None and not _of_source(error, job):
            return RunFailed(_disk(error, job.scratch))
        return one_line(error)
    except SslPlatformError as error:
        return one_line(error) if isinstance(error, Unreadable) else error
    except Exception as error:
        # a reader of some format may raise anything on a damaged file; the limit on bad files bounds what hides here
        return one_line(error)


def _pack_mask(packed: Packed, row: Row, path: str, domain: Domain, resample: bool, draft: Path) -> None:
    """Add a label mask to what is packed: a file of its own, or an entry; nothing where it does not fit the item.

    Raises:
        RunFailed: it cannot be read.
    """
    try:
        values = domain.read_mask(row, Path(path), resample)
        file = domain.pack_mask(Path(path), draft)
    except Misfit:
        return
    except (Unreadable, ValueError, EOFError) as error:
        raise RunFailed(f"mask {path} of {row.id!r} cannot be read ({error}): correct it, or leave it out") from None
    if file is not None:
        packed.files[path] = file
        return
    assert domain.cache is not None
    entry = draft.with_name(f"{draft.name}.item")
    write_entry(entry, settle(Prepared(values[None], row.spacing, ("mask",)), row, 0.0), path, created=0.0)
    packed.arrays[domain.cache.mask_key(row, Path(path), domain)] = entry


def _of_source(error: OSError, job: Job) -> bool:
    """Whether an error of the system speaks of reading the source, not of writing a draft."""
    import errno

    named = str(error.filename or "")
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return not full and not named.startswith(str(job.scratch))


def _disk(error: OSError, folder: Path) -> str:
    return (
        f"{folder.parent} cannot be written ({(error.strerror or str(error)).lower()}): free space, then run it again"
    )
