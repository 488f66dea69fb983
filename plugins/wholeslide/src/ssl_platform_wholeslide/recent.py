"""A memory of what was computed lately, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What takes up a known number of bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes it takes up."""


T = TypeVar("T", bound=Sized)


class Recent(Generic[T]):
    """Values by key, the least recently used forgotten first. Safe to share among threads.

    Args:
        most: bytes kept; the value used last is kept even if it is larger.
    """

    def __init__(self, most: int) -> None:
        self.most, self.nbytes = most, 0
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made when it is not there; two threads may make it at once."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = value
                self.nbytes += value.nbytes
            while self.nbytes > self.most and len(self._kept) > 1:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes
        return value
