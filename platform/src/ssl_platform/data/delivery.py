"""Batches from reader processes, in order, with what went wrong on the way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ssl_platform.data.collate import map_tensors
from ssl_platform.data.reader import Substitute
from ssl_platform.errors import RunFailed, SslPlatformError
from ssl_platform.types import Batch


@dataclass
class Delivery:
    """What a reader hands over.

    Attributes:
        batch: None when nothing could be read, or an error ended it.
        substitutes: items that could not be read.
        error: an error raised on purpose, handed over whole so that its one line reaches the user.
    """

    batch: Batch | None
    substitutes: Sequence[Substitute] = ()
    error: SslPlatformError | None = None

    def pin_memory(self) -> Delivery:
        """The delivery with its tensors in page-locked memory (called by torch's loader)."""
        pinned = None if self.batch is None else map_tensors(self.batch, lambda tensor: tensor.pin_memory())
        return Delivery(pinned, self.substitutes, self.error)


class _Deliveries(Dataset[Delivery]):
    """Delivery number `m`, for torch's loader to ask for in a worker."""

    def __init__(self, make: Callable[[int], Delivery]) -> None:
        self._make = make

    def __getitem__(self, m: int) -> Delivery:
        try:
            return self._make(m)
        except SslPlatformError as error:
            return Delivery(None, error=error)


def _leave_at_once(worker: int) -> None:
    """Lets a worker that was told to stop end without taking its interpreter down.

    The end of an interpreter ends the thread that hands over tensors wherever it is; inside torch's own code that
    aborts the process, and the run is told that a reader died.
    """
    Finalize(None, _leave, exitpriority=-100)


def _leave() -> None:
    if sys.exc_info()[0] is None:  # else the error has to reach the exit code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class Waiting:
    """Counts the seconds spent waiting for data."""

    def __init__(self) -> None:
        self.seconds = 0.0


def deliver(
    make: Callable[[int], Delivery],
    numbers: Iterable[int],
    *,
    workers: int = 0,
    pin: bool = False,
    start_method: str | None = None,
    prefetch: int = 2,
    waiting: Waiting | None = None,
) -> Iterator[Delivery]:
    """Deliveries of the given numbers, in that order whatever the number of workers.

    Args:
        make: makes one delivery; in a worker process when there are workers (it is pickled under `spawn`).
        numbers: which; may be endless.
        workers: reader processes; 0 reads here.
        pin: put tensors in page-locked memory for fast copies to a GPU.
        start_method: `fork`, `spawn` or `forkserver`; None for the system's default.
        prefetch: deliveries each worker reads ahead.
        waiting: counts the time the caller waited.

    Raises:
        SslPlatformError: what a reader raised on purpose.
        RunFailed: a reader process was killed.
    """
    loader: DataLoader[Delivery] = DataLoader(
        _Deliveries(make),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        pin_memory=pin,
        multiprocessing_context=start_method if workers else None,
        prefetch_factor=prefetch if workers else None,
        worker_init_fn=_leave_at_once if workers else None,
        # torch draws a seed for its workers; from the global generator it would move the run's own random numbers
        generator=torch.Generator(),
    )
    source: Iterator[Any] = iter(loader)
    try:
        while True:
            begun = time.perf_counter()
            try:
                delivery: Delivery = next(source)
            except StopIteration:
                return
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise RunFailed(_ended(error)) from None
            finally:
                if waiting is not None:
                    waiting.seconds += time.perf_counter() - begun
            if delivery.error is not None:
                raise delivery.error
            yield delivery
    finally:
        # ends the workers here: an error's traceback would hold them until some later garbage collection, which
        # closes their queues before telling them to stop, and then waits seconds for each
        del source


def _ended(error: RuntimeError) -> str:
    return (
        f"a reader process ended ({str(error).splitlines()[0]}): when memory ran out, lower data.workers or "
        "data.batch_size; for shared memory (/dev/shm) too small, data.workers=0"
    )
