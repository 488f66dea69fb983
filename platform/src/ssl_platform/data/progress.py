"""Progress of long work: a line that is redrawn on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO


class Bar:
    """Shows how far something is.

    Args:
        title: what is done.
        stream: where it is shown; None for nowhere.
        every: seconds between plain lines where the stream is no terminal.
        unit: what is counted, where the rate is shown.
        begun: how many were done before.
    """

    def __init__(
        self, title: str, stream: TextIO | None, every: float = 30.0, *, unit: str = "", begun: int = 0
    ) -> None:
        self.title, self.stream, self.unit, self.begun = title, stream, unit, begun
        self.terminal = stream is not None and stream.isatty()
        self.every = 0.2 if self.terminal else every
        self.start = self.shown = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.stream is not None and self.terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` are done."""
        now = time.monotonic()
        if self.stream is None or now - self.shown < self.every:
            return
        self.shown = now
        passed, own = now - self.start, max(1, done - self.begun)
        left = passed / own * (total - done)
        rate = f" {own / max(passed, 1e-9):.3g} {self.unit}/s," if self.unit else ""
        text = f"{self.title}: {done:,} of {total:,} ({100 * done / max(1, total):.0f} %),{rate} {left:.0f} s left"
        self.stream.write(f"\r\x1b[K{text}" if self.terminal else text + "\n")
        self.stream.flush()
