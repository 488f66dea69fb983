"""Open slides of a process: a bounded number, opened where they are read."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides import Slide, open_slide

_local = threading.local()


class Pool:
    """Slides kept open, the least recently used given back first.

    Args:
        most: slides open at once.
        cache_mb: decoded tiles kept over all of them; 0 for none.
    """

    def __init__(self, most: int, cache_mb: int) -> None:
        self.most, self.cache_mb = most, cache_mb
        self.process = os.getpid()
        self._open: OrderedDict[tuple[str, str], Slide] = OrderedDict()
        self._cache: Any = None

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def slide(self, path: str, reader: str) -> Iterator[Slide]:
        """An open slide; one that fails to decode is closed, since OpenSlide answers nothing after an error.

        Raises:
            Unreadable: it cannot be opened.
        """
        key = (path, reader)
        slide = self._open.get(key) or open_slide(Path(path), reader, self._tiles(), again=True)
        self._open[key] = slide
        self._open.move_to_end(key)
        while len(self._open) > self.most:
            self._open.popitem(last=False)[1].close()
        try:
            yield slide
        except Unreadable:
            self._open.pop(key, None)
            slide.close()
            raise

    def _tiles(self) -> Any:
        """The cache all slides share: OpenSlide's own is 32 MB a slide."""
        if self._cache is None:
            from openslide import OpenSlideCache

            self._cache = OpenSlideCache(self.cache_mb << 20)
        return self._cache


def pool(most: int, cache_mb: int) -> Pool:
    """The pool of this thread. After a fork there is a new one: handles of the parent are neither used nor closed."""
    found: Pool | None = getattr(_local, "pool", None)
    if found is None or found.process != os.getpid() or (found.most, found.cache_mb) != (most, cache_mb):
        if found is not None and found.process != os.getpid():
            _local.abandoned = found
        found = _local.pool = Pool(most, cache_mb)
    return found
