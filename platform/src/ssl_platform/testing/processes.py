"""Run a function in several processes of one gloo group, to compare it with one process.

    with Processes(2) as pair:
        ours, theirs = pair.run(step, seed)          # one result a rank, in rank order

A child starts a fresh interpreter, which costs seconds: keep one `Processes` for a whole test folder.
"""

from __future__ import annotations

import datetime
import multiprocessing
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ssl_platform import distributed

_GRACE = 5.0  # seconds the others get to answer once a process has failed


class Processes:
    """Processes that share a gloo group and run one function after another.

    Args:
        count: number of processes.
        timeout: seconds a function may take.
    """

    def __init__(self, count: int = 2, timeout: float = 120.0) -> None:
        self.count, self.timeout = count, timeout
        self._children: list[Any] = []
        self._pipes: list[Connection] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Call `function(*args, **kwargs)` in every process at once.

        Args:
            function: at the top level of an importable module; it asks `distributed` for its rank.
            args, kwargs: what it takes; they and the result are pickled.

        Returns:
            One result a rank.

        Raises:
            RuntimeError: a process failed (its traceback is the message) or took too long.
        """
        if not self._children:
            self._start()
        work = pickle.dumps((function, args, kwargs))
        for pipe in self._pipes:
            pipe.send_bytes(work)
        answers: dict[int, tuple[bool, Any]] = {}
        while len(answers) < self.count:
            pending = [number for number in range(self.count) if number not in answers]
            failed = [number for number, (done, _) in answers.items() if not done]
            ready = wait([self._pipes[number] for number in pending], _GRACE if failed else self.timeout)
            if not ready:
                # The others wait in a collective that the failed one will never join.
                self.kill()
                break
            for number in pending:
                if self._pipes[number] in ready:
                    answers[number] = self._receive(number)
        if not all(child.is_alive() for child in self._children):
            self.kill()
        for number, (done, result) in sorted(answers.items()):
            if not done:
                raise RuntimeError(f"process {number} failed:\n{result}")
        if len(answers) < self.count:
            raise RuntimeError(f"no answer from all {self.count} processes within {self.timeout:g} s")
        return [answers[number][1] for number in range(self.count)]

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for child in self._children:
            child.join(timeout=5)
            if child.is_alive():
                child.kill()
                child.join()
        self._children, self._pipes = [], []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ssl-platform-")
        store = str(Path(self._folder.name) / "store")  # a file, so that no port can be taken
        context = multiprocessing.get_context("spawn")
        for number in range(self.count):
            ours, theirs = context.Pipe()
            child = context.Process(target=_serve, args=(number, self.count, store, theirs), daemon=True)
            child.start()
            theirs.close()
            self._children.append(child)
            self._pipes.append(ours)

    def kill(self) -> None:
        """End the processes at once, whatever they do; the next `run` starts new ones."""
        for child in self._children:
            child.kill()
        self.close()

    def _receive(self, number: int) -> tuple[bool, Any]:
        """A process' answer: whether it is a result, and the result or the traceback."""
        try:
            answer: tuple[bool, Any] = pickle.loads(self._pipes[number].recv_bytes())
        except (EOFError, OSError):
            self._children[number].join(timeout=5)
            answer = (False, f"it ended with exit code {self._children[number].exitcode}")
        return answer


def _serve(number: int, count: int, store: str, pipe: Connection) -> None:
    """A child's life: join the group, then run what arrives until the pipe closes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=number,
        world_size=count,
        timeout=datetime.timedelta(seconds=60),
    )
    while True:
        try:
            work = pipe.recv_bytes()
        except (EOFError, OSError):
            break
        try:
            function, args, kwargs = pickle.loads(work)
            answer = (True, function(*args, **kwargs))
        except Exception:
            answer = (False, traceback.format_exc())
        pipe.send_bytes(pickle.dumps(answer))
    dist.destroy_process_group()


def run_pair(function: Callable[..., Any], *args: Any, processes: int = 2) -> list[Any]:
    """Results of `function(*args)` in new processes of one gloo group, one a rank."""
    with Processes(processes) as group:
        return group.run(function, *args)


def average_gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Gradients averaged over ranks as DDP would (zeros where there is none); call it on all ranks."""
    gradients = []
    for parameter in parameters:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients.append(distributed.all_mean(gradient.detach()))
    return gradients


def relative_difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Norm of the difference of two lists of tensors over the norm of the second."""
    difference = sum(float((a - b).square().sum()) for a, b in zip(ours, theirs, strict=True))
    size = sum(float(b.square().sum()) for b in theirs)
    return float((difference / max(size, 1e-300)) ** 0.5)
