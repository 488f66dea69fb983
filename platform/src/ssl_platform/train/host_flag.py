"""A yes or no that travels from the device to the host without draining the device's queue."""

from __future__ import annotations

import torch
from torch import Tensor


class HostFlag:
    """Sends one number at a time.

    On a GPU, `send` queues a copy into pinned memory and marks the place in the queue; `read` waits for that place
    only, while whatever was queued behind it (the optimiser's kernels) still runs. On a CPU nothing has to wait.
    """

    def __init__(self) -> None:
        self._value: Tensor | None = None
        self._event: torch.cuda.Event | None = None

    def send(self, flag: Tensor) -> None:
        """Start sending a scalar; zero means no."""
        if flag.is_cuda:
            if self._event is None:
                self._value = torch.zeros((), dtype=flag.dtype, pin_memory=True)
                self._event = torch.cuda.Event()
            assert self._value is not None
            self._value.copy_(flag, non_blocking=True)
            self._event.record()
        else:
            self._value = flag

    def read(self) -> bool:
        """What was sent last."""
        if self._event is not None:
            self._event.synchronize()
        return bool(self._value) if self._value is not None else False
