"""Room in the cache: its folder stays within its bound, because what was used longest ago gives way."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from ssl_platform.data.upkeep import entry_files, fetched_files, folder_bytes
from ssl_platform.errors import CacheError

_log = logging.getLogger(__name__)
_SECONDS = 60.0
_PART = 64  # of the bound: a process counts anew once it has added that much
_SPARE = 8  # of the bound: where fetched copies give way, that much is freed at once


class Room:
    """The bound of a cache folder, as one process keeps it.

    Items the run has not used give way, and copies fetched from shards even if it has, since they are fetched again.
    Processes that write at once do not see each other between counts: each may exceed the bound by 1/64 of it.

    Args:
        folder: of the cache.
        max_gb: largest size on disk in GB (`cache.max_gb`).
    """

    def __init__(self, folder: Path, max_gb: float) -> None:
        self.folder, self.max_gb = folder, max_gb
        self.started = time.time()
        self.forget()

    def forget(self) -> None:
        """Count anew when next asked, as another process must."""
        self._bytes, self._counted, self._added = 0, -_SECONDS, 0
        self._told = False

    @property
    def limit(self) -> int:
        """The bound in bytes."""
        return int(self.max_gb * 1e9)

    def bytes(self) -> int:
        """Size on disk: counted anew once a minute, or after much was added."""
        if time.monotonic() - self._counted > _SECONDS or self._added > self.limit // _PART:
            self._bytes, self._counted, self._added = folder_bytes(self.folder), time.monotonic(), 0
        return self._bytes

    def add(self, size: int) -> None:
        """Count a file that was written."""
        self._bytes, self._added = self._bytes + size, self._added + size

    def make(self, need: int) -> None:
        """Let what was used longest ago give way until `need` bytes fit.

        Raises:
            CacheError: they do not.
        """
        excess = self.bytes() + need - self.limit
        if excess <= 0:
            return
        unused = [file for file in entry_files(self.folder) if file.used < self.started]
        fetched = list(fetched_files(self.folder))
        wanted = excess + (self.limit // _SPARE if fetched else 0)
        freed = count = again = 0
        for file in sorted([*unused, *fetched], key=lambda file: file.used):
            if freed >= wanted:
                break
            file.path.unlink(missing_ok=True)
            freed, count = freed + file.bytes, count + 1
            again += file.used >= self.started
        self._bytes -= freed
        if count and not (again and self._told):
            _log.warning(
                "cache: %d items (%.2f GB) gave way in %s%s", count, freed / 1e9, self.folder, self._why(again)
            )
            self._told = bool(again)
        if freed < excess:
            raise CacheError(
                f"the cache {self.folder} is full: {self._bytes / 1e9:.2f} GB of cache.max_gb={self.max_gb:g} are in "
                f"use by this run and {need / 1e9:.2f} GB more are needed; raise cache.max_gb or set cache.dir"
            )

    def _why(self, again: int) -> str:
        """What it costs that items gave way which this run has fetched."""
        if not again:
            return ": not used by this run"
        return (
            f": cache.max_gb={self.max_gb:g} does not hold what this run fetches, so the oldest go on giving way and "
            "are fetched again when needed"
        )
