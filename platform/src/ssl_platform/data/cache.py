"""The preprocessed cache: every item once in its normalised grid, mapped into memory and shared by all processes.

An entry is named by what it was made from (content, the domain's transform, the storage format), so it can be stale
only by being unused. Entries are written aside and moved into place: two processes that make the same one do the work
twice and lose nothing, and no lock is needed. The cache holds copies of the data: folders are readable by their owner
only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.data.entry import open_entry, payload_bytes, write_entry
from ssl_platform.data.fingerprint import fingerprint
from ssl_platform.data.prepared import Prepared, settle
from ssl_platform.data.room import Room
from ssl_platform.data.upkeep import default_folder
from ssl_platform.errors import CacheError, DataError, Misfit
from ssl_platform.types import Row

if TYPE_CHECKING:
    from ssl_platform.data.shards.held import Shards
    from ssl_platform.domain import Domain

__all__ = ["Cache", "Prepared", "default_folder"]

FORMAT = 1
_log = logging.getLogger(__name__)


class Cache:
    """Prepared items on disk, bounded in size.

    One object serves one process; after a fork or when pickled it opens its files anew.

    Args:
        folder: where entries are kept (`cache.dir`); None for the default.
        max_gb: largest size on disk in GB (`cache.max_gb`). Items the run does not use give way, least recently used
            first; when the run's own do not fit, writing fails.
        open_items: entries kept mapped at once; None for an eighth of the files a process may open, at most 1024.

    Attributes:
        room: keeps its folder within `max_gb`.
        shards: prepared data whose items are read, or None.
    """

    def __init__(self, folder: Path | str | None = None, max_gb: float = 50.0, open_items: int | None = None) -> None:
        self.shards: Shards | None = None
        self.folder = Path(folder).expanduser() if folder else default_folder()
        self.room = Room(self.folder, max_gb)
        self.open_items = open_items or _open_limit()
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._open: OrderedDict[str, Prepared] = OrderedDict()
        self._keys: OrderedDict[tuple[str, str], str] = OrderedDict()
        self.room.forget()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("folder", "room", "open_items", "shards")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    # ------------------------------------------------------------------------------------------------------- opening
    def open(self, row: Row, domain: Domain) -> Prepared:
        """The prepared item, made by `domain.prepare` if it is not there or damaged; or as shards hold it.

        Raises:
            Unreadable: the item cannot be prepared, or the shard that holds it is damaged.
            DataError: shards hold it as other options made it.
            CacheError: it cannot be written.
        """
        known = (row.id, row.fingerprint)
        if self._process != os.getpid():
            self._forget()
        key = self._keys.get(known)
        if key is None:
            key = self._keys[known] = self.key(row, domain)
            if len(self._keys) > 64 * self.open_items:
                self._keys.popitem(last=False)
        if self.shards is not None and self.shards.arrays:
            shards = self.shards
            return self._held(key, lambda: _other_options(shards, row))
        return self._entry(key, row, lambda: domain.prepare(domain.located(row)), domain)

    def open_mask(self, row: Row, path: Path, domain: Domain, resample: bool = False) -> Prepared:
        """A label mask of the item in the item's grid, as data `[1, *shape]`, made by `domain.read_mask`.

        Args:
            row: the item.
            path: the mask's file.
            domain: reads it.
            resample: whether a mask on another grid is brought to the item's (`labels.resample=nearest`).

        Raises:
            Unreadable: the mask cannot be read; Misfit: it lies on another grid.
            CacheError: it cannot be written.
        """
        if self._process != os.getpid():
            self._forget()
        known = (row.id, f"{path}\0{resample}")
        key = self._keys.get(known)
        if self.shards is not None and not path.exists() and not self.shards.has_file(str(path)):
            key = self._keys[known] = key or self.mask_key(row, path, domain)
            return self._held(key, lambda: Misfit("it did not fit its image when the data were prepared"))
        file = domain.mask_file(path)
        if key is None:
            key = self._keys[known] = self._hash(self.key(row, domain), fingerprint(file), f"mask {resample}")
        return self._entry(
            key, row, lambda: Prepared(domain.read_mask(row, file, resample)[None], row.spacing, ("mask",)), domain
        )

    def _entry(self, key: str, row: Row, build: Callable[[], Prepared], domain: Domain) -> Prepared:
        found = self._open.get(key)
        if found is not None:
            self._open.move_to_end(key)
            return found
        path = self.path(key)
        try:
            found = open_entry(path)
            with contextlib.suppress(OSError):  # another user's cache may be read but not touched
                os.utime(path)  # the time of last use, which file systems do not reliably keep themselves
        except FileNotFoundError:
            found = self._build(path, row, build, domain)
        except CacheError as error:
            _log.warning("%s; it is made again", error)
            found = self._build(path, row, build, domain)
        except OSError as error:
            raise CacheError(f"the cache {self.folder} cannot be read ({error.strerror}): set cache.dir") from error
        self._open[key] = found
        while len(self._open) > self.open_items:
            self._open.popitem(last=False)
        return found

    def _build(self, path: Path, row: Row, build: Callable[[], Prepared], domain: Domain) -> Prepared:
        item = settle(build(), row, domain.layout.fill)
        need = int(payload_bytes(tuple(item.data.shape), str(item.data.dtype), item.valid is not None))
        self.room.make(need)
        try:
            self._make_folder(path.parent)
            self.room.add(write_entry(path, item, row.path))
            return open_entry(path)
        except OSError as error:
            raise CacheError(self._why(error, need)) from error

    def _why(self, error: OSError, need: int) -> str:
        """One line about a failed write, with what would help."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(_existing(self.folder)).free
            return (
                f"the disk of the cache {self.folder} is full: {need / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; "
                "set cache.dir to a larger disk, lower cache.max_gb, or run 'ssl-platform cache prune'"
            )
        return f"the cache {self.folder} cannot be written ({error.strerror or error}): set cache.dir"

    def _make_folder(self, folder: Path) -> None:
        """Make the folders down to `folder`, closed to other users."""
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)

    def _held(self, key: str, absent: Callable[[], Exception]) -> Prepared:
        """What shards hold under a key.

        Raises:
            Unreadable: it is damaged.
        """
        assert self.shards is not None
        found = self._open.get(key)
        if found is None:
            found = self.shards.entry(key)
            if found is None:
                raise absent()
            self._open[key] = found
            while len(self._open) > min(self.open_items, self.shards.open_items):
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return found

    # -------------------------------------------------------------------------------------------------------- naming
    def key(self, row: Row, domain: Domain) -> str:
        """Name of the row's entry: a hash of its content and of everything `prepare` depends on."""
        content = row.fingerprint or fingerprint(Path(row.path))
        facts = (row.shape, row.spacing, row.channels, row.dtype, sorted(row.meta.items()))
        return self._hash(content, row.id.partition("#")[2], facts, _transform(domain))

    def mask_key(self, row: Row, path: Path, domain: Domain) -> str:
        """Name of a mask in shards, which do not ask whether its file is still there."""
        return self._hash(self.key(row, domain), str(path), "mask")

    def extra_key(self, row: Row, domain: Domain, name: str) -> str:
        """Name of what a domain packs beside an item."""
        return self._hash(self.key(row, domain), "extra", name)

    @staticmethod
    def _hash(*parts: Any) -> str:
        return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=16).hexdigest()

    def path(self, key: str) -> Path:
        """The file of an entry."""
        return self.folder / "prepared" / key[:2] / f"{key}.item"


def _transform(domain: Domain) -> list[Any]:
    """Everything but the item that decides what `prepare` returns and how it is stored."""
    kind, layout = type(domain), domain.layout
    options = json.dumps(dict(domain.prepare_key()), sort_keys=True, default=str)
    return [FORMAT, kind.__module__, kind.__qualname__, options, layout.axes, layout.unit, layout.fill]


def _other_options(shards: Shards, row: Row) -> DataError:
    """The error where shards do not hold an item as it is asked for."""
    return DataError(
        f"{shards.place.name} does not hold {row.id!r} as these options make it: leave out the data.* keys that differ "
        "from those it was prepared with (they are in its prepared.json), or prepare the data again"
    )


def _open_limit() -> int:
    try:
        import resource
    except ImportError:  # not on Windows
        return 64
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1024 if allowed == resource.RLIM_INFINITY else min(max(allowed // 8, 16), 1024)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
