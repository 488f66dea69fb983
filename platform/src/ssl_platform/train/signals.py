"""SIGTERM and SIGINT save and stop, SIGUSR1 saves and requeues."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

from ssl_platform.errors import RunStopped

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Signals:
    """Remembers the first signal; the loop looks at it between steps.

    Outside of training there is nothing to save, so the run ends at once. A second SIGINT interrupts at once too, for a
    user who does not want to wait for the save.

    Args:
        requeue: whether SIGUSR1 is answered.

    Attributes:
        received: number of the first signal.
        training: whether steps are being done.
    """

    def __init__(self, requeue: bool = False) -> None:
        self.received: int | None = None
        self.training = False
        self._process = os.getpid()
        self._watched = [signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if requeue else [])]
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take over the signals (only possible in the main thread; elsewhere nothing happens)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._watched:
            self._before.setdefault(number, signal.getsignal(number))
            signal.signal(number, self._receive)

    def restore(self) -> None:
        """Give the signals back."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a reader process that inherited the handler: it ends as it would without
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self.received == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
        if not self.training:
            raise RunStopped(f"stopped by {signal.Signals(number).name} outside of training", self.exit_code)

    @property
    def exit_code(self) -> int:
        """130 or 143; 0 for a requeued job."""
        return EXIT_CODES.get(signal.Signals(self.received), 0) if self.received is not None else 0


def requeue_slurm_job() -> str:
    """Ask SLURM to start this job again; return a line about it."""
    job = os.environ.get("SLURM_JOB_ID")
    if os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if not job:
        return "SIGUSR1: saved; not a SLURM job, so nothing was requeued"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SIGUSR1: saved; job {job} could not be requeued ({error})"
    if done.returncode:
        return f"SIGUSR1: saved; job {job} could not be requeued ({done.stderr.strip()})"
    return f"SIGUSR1: saved and requeued job {job}"
