"""What the user sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

LINE_SECONDS = 10.0
WINDOW = 50


@dataclass(frozen=True)
class Pace:
    """How fast a run goes.

    Attributes:
        samples_per_second: over the last steps, all ranks.
        data_wait: fraction of that time spent waiting for data.
        seconds_left: estimate, or None before the second step.
    """

    samples_per_second: float | None
    data_wait: float
    seconds_left: float | None


class Clock:
    """Times steps.

    Args:
        batch: samples a step, all ranks.
        total: steps of the run.

    Attributes:
        waiting: gives the seconds spent waiting for data so far.
    """

    def __init__(self, batch: int, total: int) -> None:
        self.batch, self.total = batch, total
        self.started = time.monotonic()
        self.waiting: Callable[[], float] = lambda: 0.0
        self.paused = 0.0
        self._marks: deque[tuple[int, float, float]] = deque(maxlen=WINDOW + 1)

    def mark(self, step: int) -> None:
        """A step ended (or the run begins): time spent on looks and checkpoints since then does not count."""
        self._marks.append((step, time.monotonic() - self.paused, self.waiting()))

    def pause(self, seconds: float) -> None:
        """Time was spent on something that is not training."""
        self.paused += seconds

    @property
    def seconds(self) -> float:
        """Since the start, everything included."""
        return time.monotonic() - self.started

    def pace(self) -> Pace:
        """Over the last steps; the first step, which warms up, is left out once there are others."""
        marks = list(self._marks)
        if len(marks) > 2 and marks[0][0] == 0:
            marks = marks[1:]
        if len(marks) < 2 or marks[-1][1] <= marks[0][1]:
            return Pace(None, 0.0, None)
        (first, begin, waited), (last, end, waited_end) = marks[0], marks[-1]
        per_step = (end - begin) / max(1, last - first)
        return Pace(
            samples_per_second=self.batch / per_step,
            data_wait=min(1.0, (waited_end - waited) / (end - begin)),
            seconds_left=(self.total - last) * per_step,
        )


class Progress(Protocol):
    """Shows a run."""

    def step(self, step: int, loss: float, pace: Pace) -> None:
        """A step ended."""

    def say(self, line: str) -> None:
        """Show a line."""

    def close(self) -> None:
        """The run ended."""


def duration(seconds: float | None) -> str:
    """`3 min 20 s`."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Lines:
    """Plain lines, one every ten seconds and at the first and last step.

    Args:
        total: steps of the run.
        out: where lines go.
    """

    def __init__(self, total: int, out: TextIO | None = None) -> None:
        self.total, self.out = total, out or sys.stdout
        self._shown = float("-inf")

    def step(self, step: int, loss: float, pace: Pace) -> None:
        """Print a line when it is time."""
        now = time.monotonic()
        if step < self.total and now - self._shown < LINE_SECONDS:
            return
        self._shown = now
        speed = "" if pace.samples_per_second is None else f"  {pace.samples_per_second:.1f} samples/s"
        waits = f"  data wait {100 * pace.data_wait:.0f} %" if speed else ""
        left = f"  {duration(pace.seconds_left)} left" if pace.seconds_left and step < self.total else ""
        self.say(f"step {step}/{self.total}  loss {loss:.4f}{speed}{waits}{left}")

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=self.out, flush=True)

    def close(self) -> None:
        """Nothing to tidy."""


class Bar:
    """A bar with samples/s, data wait and time left.

    Args:
        total: steps of the run.
        start: steps done before.
    """

    def __init__(self, total: int, start: int = 0) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Any = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[speed]}  data wait {task.fields[wait]}"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("train", total=total, completed=start, loss="-", speed="-", wait="-")
        self._bar.start()

    def step(self, step: int, loss: float, pace: Pace) -> None:
        """Move the bar."""
        speed = "-" if pace.samples_per_second is None else f"{pace.samples_per_second:.1f} samples/s"
        self._bar.update(
            self._task, completed=step, loss=f"{loss:.4f}", speed=speed, wait=f"{100 * pace.data_wait:.0f} %"
        )

    def say(self, line: str) -> None:
        """Print a line above the bar, as it is."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal in order."""
        self._bar.stop()


class Silent:
    """Shows nothing: ranks other than the first."""

    def step(self, step: int, loss: float, pace: Pace) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def choose(total: int, start: int, main: bool, out: TextIO | None = None) -> Progress:
    """A bar on a terminal, lines elsewhere, nothing on other ranks."""
    if not main:
        return Silent()
    stream = out or sys.stdout
    return Bar(total, start) if stream.isatty() else Lines(total, stream)
