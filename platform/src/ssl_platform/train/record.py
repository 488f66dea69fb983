"""Writing what a run found into its folder: rows of metrics, looks, results."""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_platform.distributed import all_mean
from ssl_platform.errors import ConfigError
from ssl_platform.train.health import LossTrail
from ssl_platform.train.metrics import MetricsFile, Value
from ssl_platform.train.module import StepReport
from ssl_platform.train.progress import Clock

DEVICE_ROWS = 10
"""Steps whose numbers stay on a GPU before they are fetched together, so that logging never makes the host wait."""


class Recorder:
    """Turns step reports into rows.

    Args:
        metrics: where rows go; None on other ranks than the first.
        clock: for speed and waiting.
        every: steps between rows.
        held: steps kept on the device before they are fetched.
        tensorboard: further writer of scalars, or None.
    """

    def __init__(
        self, metrics: MetricsFile | None, clock: Clock, *, every: int = 1, held: int = 1, tensorboard: Any = None
    ) -> None:
        self.metrics, self.clock, self.every, self.held, self.tensorboard = metrics, clock, every, held, tensorboard
        self.trail = LossTrail()
        self.first: float | None = None
        self.last: float | None = None
        self._waiting: list[StepReport] = []
        self._extra: dict[str, Value] = {}

    def add(self, report: StepReport, shown: Callable[[int, float], None]) -> None:
        """Take a report; every few steps write the rows that are due.

        Args:
            report: of the step just done.
            shown: called with step and loss of every row fetched.
        """
        self._waiting.append(report)
        if len(self._waiting) >= self.held:
            self.flush(shown)

    def flush(self, shown: Callable[[int, float], None] = lambda step, loss: None) -> None:
        """Fetch what is held and write it. All ranks must call this at the same steps."""
        if not self._waiting:
            return
        reports, self._waiting = self._waiting, []
        names = list(reports[0].terms)
        table = torch.stack([_row(report, names) for report in reports])
        values = all_mean(table).tolist()
        pace = self.clock.pace()
        for report, (loss, norm, *terms) in zip(reports, values, strict=True):
            self.first = loss if self.first is None else self.first
            self.last = loss
            self.trail.add(report.step, loss)
            if report.step % self.every == 0:
                row: dict[str, Value] = {
                    "step": report.step,
                    "loss": loss,
                    "lr": report.lr,
                    "weight_decay": report.weight_decay,
                    "grad_norm": norm,
                    "samples_per_second": pace.samples_per_second,
                    "data_wait": pace.data_wait,
                }
                row.update({f"loss/{name}": value for name, value in zip(names, terms, strict=True)})
                if not report.moved:
                    row["skipped"] = 1
                self.write(row)
            shown(report.step, loss)

    def write(self, row: dict[str, Value]) -> None:
        """Write one row everywhere."""
        if self.metrics is not None:
            self.metrics.write(row)
        if self.tensorboard is not None:
            step = int(row["step"] or 0)
            for name, value in row.items():
                if name != "step" and isinstance(value, int | float):
                    self.tensorboard.add_scalar(name, value, step)


def _row(report: StepReport, names: list[str]) -> Tensor:
    return torch.stack([report.loss, report.grad_norm, *(report.terms[name] for name in names)]).float()


def tensorboard_writer(folder: Path, done: int = 0) -> Any:
    """TensorBoard's writer.

    Args:
        folder: of the run.
        done: steps of the run that are kept; later ones in the folder are hidden.

    Raises:
        ConfigError: the extra is not installed.
    """
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    writer: Any = SummaryWriter
    with _nameless_host():
        return writer(log_dir=str(folder), purge_step=done + 1 if done else None)


@contextlib.contextmanager
def _nameless_host() -> Iterator[None]:
    """TensorBoard puts the host's name into the name of its file, where a shared run folder would show it."""
    named = socket.gethostname
    socket.gethostname = lambda: "run"
    try:
        yield
    finally:
        socket.gethostname = named


def check_tensorboard() -> None:
    """Refuse `trainer.loggers=[tensorboard]` where the extra is not installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise ConfigError("trainer.loggers=[tensorboard]: pip install 'ssl-platform[tensorboard]'") from error
