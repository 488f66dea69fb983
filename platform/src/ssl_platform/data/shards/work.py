"""Packing items, here or in worker processes: results come in the order of the items, errors as values."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
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
        for number, path in enumerate(job.masks):
            mask = _mask(job, path, domain, resample, number)
            if mask is not None:
                assert domain.cache is not None
                packed.arrays[domain.cache.mask_key(packed.row, Path(path), domain)] = mask
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


def _mask(job: Job, path: str, domain: Domain, resample: bool, number: int) -> Path | None:
    """A label mask as an entry; None where it does not lie on the item's grid.

    Raises:
        RunFailed: it cannot be read.
    """
    try:
        values = domain.read_mask(job.row, Path(path), resample)
    except Misfit:
        return None
    except (Unreadable, ValueError, EOFError) as error:
        raise RunFailed(
            f"mask {path} of {job.row.id!r} cannot be read ({error}): correct it, or leave it out"
        ) from None
    draft = job.scratch / f"{number}.mask.item"
    item = settle(Prepared(values[None], job.row.spacing, ("mask",)), job.row, 0.0)
    write_entry(draft, replace(item), path, created=0.0)
    return draft


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
