"""What a domain packs of an item, and where it finds it again. Every domain inherits these; few change them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from ssl_platform.errors import DataError

if TYPE_CHECKING:
    from ssl_platform.data.cache import Cache, Prepared
    from ssl_platform.data.shards.about import Form
    from ssl_platform.data.shards.held import Located
    from ssl_platform.domain import Domain
    from ssl_platform.types import Row


@dataclass
class Packed:
    """What of one item goes into a shard.

    Attributes:
        row: the item as it will be listed: as scanned, unless what is packed is no longer what was scanned.
        arrays: entries of the cache's format, by key of the cache.
        files: by path of the source file.
        moved: whether files are drafts of their own, removed once they are packed.
    """

    row: Row
    arrays: dict[str, Path] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    moved: bool = True


class Packs:
    """The part of a domain that `ssl-platform prepare` needs.

    Attributes:
        packed_words: what its packed form is, in a few words; empty for the usual ones.
    """

    packed_words: ClassVar[str] = ""
    cache: Cache | None

    def packed_form(self, exact: bool = False) -> tuple[Form, bool]:
        """Whether items are packed as arrays or as files, and whether windows stay the same bit for bit.

        Args:
            exact: `--exact` was given.
        """
        return ("arrays" if cast("Domain", self).prepares else "files"), True

    def packed_exactly(self, row: Row) -> bool:
        """Whether windows of an item stay the same bit for bit, where `packed_form` says so of the domain."""
        return True

    def sources(self, row: Row) -> tuple[str, ...]:
        """The files an item is read from; several items may share one."""
        return tuple(dict.fromkeys((row.path, *row.parts.values())))

    def packed_bytes(self, row: Row) -> int | None:
        """Bytes an item takes in shards, or at most takes; None where that is not known before."""
        if not cast("Domain", self).prepares:
            return row.bytes
        import numpy as np

        return math.prod(row.shape) * max(1, len(row.channels)) * np.dtype(row.dtype).itemsize

    def pack(self, row: Row, files: Sequence[str], scratch: Path, exact: bool = False) -> Packed:
        """Put what is packed of an item into files. Runs in a worker.

        The default packs what `prepare` makes, or where a domain prepares nothing its files as they are.

        Args:
            row: the item.
            files: those of `sources` that no earlier item has packed.
            scratch: an empty folder.
            exact: windows must stay the same bit for bit.

        Raises:
            Unreadable: the item cannot be used.
            DataError: items of this kind cannot be packed.
        """
        domain = cast("Domain", self)
        if domain.prepares:
            return pack_array(row, domain, scratch)
        folder = next((path for path in files if Path(path).is_dir()), None)
        if folder is not None:
            raise DataError(
                f"{folder} is a folder: domain {domain.name!r} must define pack() for items of several files"
            )
        return Packed(row, files={path: Path(path) for path in files}, moved=False)

    def pack_mask(self, path: Path, draft: Path) -> Path | None:
        """A label mask as a file of its own, for domains whose options may change after items are packed.

        The default keeps masks as arrays on the items' grid. A domain that returns a file gets it back through
        `read_mask`, for whatever grid is asked for then.

        Args:
            path: the mask, a file or a folder; it was read and fits its item.
            draft: where a file may be written; its ending is the domain's to choose.
        """
        return None

    def within(self, located: Located, path: str) -> str:
        """How the domain's readers open a packed file: a path they understand.

        The default extracts it to the cache. A domain whose library opens a part of a file (GDAL's `/vsisubfile/`,
        FFmpeg's `subfile:`) names that part instead, and nothing is copied.

        Args:
            located: where its bytes are.
            path: of the source file.
        """
        assert self.cache is not None and self.cache.shards is not None
        return str(self.cache.shards.extracted(path))

    def located(self, row: Row) -> Row:
        """The row with the files it is read from now: its own, or those of prepared data.

        Raises:
            Unreadable: a file was not packed.
        """
        if self.cache is None or self.cache.shards is None or self.cache.shards.arrays:
            return row
        parts = {name: self.opened_at(path) for name, path in row.parts.items()}
        return row.replace(path=self.opened_at(row.path), parts=parts)

    def opened_at(self, path: str) -> str:
        """What the domain's readers open for a source file: itself, or a part of a shard.

        Raises:
            Unreadable: it was not packed.
        """
        if self.cache is None or self.cache.shards is None or self.cache.shards.arrays:
            return path
        located = self.cache.shards.file(path)
        return str(located.file) if located.whole else self.within(located, path)

    def mask_file(self, path: Path) -> Path:
        """A label mask: itself, or the copy that shards hold where it is no longer there.

        Raises:
            Unreadable: it is neither there nor among the prepared data, or is damaged.
        """
        if self.cache is None or self.cache.shards is None or path.exists():
            return path
        return self.cache.shards.extracted(str(path))

    def held(self, row: Row) -> Prepared | None:
        """The item as shards of arrays hold it, or None where it is read from files.

        Raises:
            Unreadable: it is damaged.
            DataError: the shards hold it in another form than is asked for.
        """
        if self.cache is None or self.cache.shards is None or not self.cache.shards.arrays:
            return None
        return self.cache.open(row, cast("Domain", self))


def pack_array(row: Row, domain: Domain, scratch: Path) -> Packed:
    """The item as the cache keeps it, as a file in `scratch`; taken from the cache where it is there.

    Raises:
        Unreadable: it cannot be prepared.
    """
    from ssl_platform.data.entry import open_entry, write_entry
    from ssl_platform.data.prepared import settle
    from ssl_platform.errors import CacheError

    assert domain.cache is not None
    key, path = domain.cache.key(row, domain), scratch / "0.item"
    try:
        item = open_entry(domain.cache.path(key))
    except (FileNotFoundError, CacheError):
        item = settle(domain.prepare(row), row, domain.layout.fill)
    write_entry(path, item, row.path, created=0.0)
    return Packed(row, arrays={key: path})
