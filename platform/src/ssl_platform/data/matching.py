"""Which item a name in a table means.

By relative path, then by unique file name, then by unique stem; DICOM by series UID or by folder. Two candidates are
an error that names both: a wrong match would be a silent data error. A manifest names its items by their paths alone:
where one cannot be read, its facts are not those of another of equal name.
"""

from __future__ import annotations

import itertools
import posixpath
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ssl_platform.data.claims import Claims
from ssl_platform.data.names import address, portable, stem
from ssl_platform.errors import LabelError
from ssl_platform.types import Row

SERIES_KEYS = ("series_uid", "SeriesInstanceUID", "series")
HOW = ("path", "series UID", "file name", "stem")


class Matcher:
    """Finds the catalog row a name means.

    Args:
        rows: the catalog.
        roots: the `--data` arguments that are folders.
        suffixes: the domain's file endings.
    """

    def __init__(self, rows: Sequence[Row], roots: Sequence[str] = (), suffixes: Sequence[str] = ()) -> None:
        self.rows = rows
        self.roots = [posixpath.abspath(root) for root in roots]
        self.suffixes = tuple(suffixes)
        self.how: Counter[str] = Counter()

    @cached_property
    def by_path(self) -> dict[str, list[int]]:
        """Rows by absolute path, of all their files, and by `path#item` of files that hold several."""
        table: dict[str, list[int]] = defaultdict(list)
        for i, row in enumerate(self.rows):
            for path in {row.path, address(row.path, row.id), *row.parts.values()}:
                table[posixpath.normpath(path)].append(i)
        return table

    @cached_property
    def by_id(self) -> dict[str, list[int]]:
        """Rows by their id."""
        return self._grouped([portable(row.id) for row in self.rows])

    @cached_property
    def by_series(self) -> dict[str, list[int]]:
        """Rows by DICOM series UID."""
        table: dict[str, list[int]] = defaultdict(list)
        for i, row in enumerate(self.rows):
            for uid in {str(row.meta[key]) for key in SERIES_KEYS if row.meta.get(key)}:
                table[uid].append(i)
        return table

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        """Rows by file or folder name."""
        return self._grouped([_base(row.path) for row in self.rows], [_base(portable(row.id)) for row in self.rows])

    @cached_property
    def by_stem(self) -> dict[str, list[int]]:
        """Rows by name less its ending."""
        return self._grouped(
            [stem(row.path, self.suffixes) for row in self.rows],
            [stem(portable(row.id), self.suffixes) for row in self.rows],
        )

    def find(self, key: str, base: Path | None, where: str, exact: bool = False) -> int:
        """Position of the row that `key` means, -1 when there is none.

        Args:
            key: a path, name, stem, item id or series UID.
            base: folder a relative path starts from before the roots are tried.
            where: place of the key, for the message.
            exact: whether only its path counts: an item of equal name in another folder is another item.

        Raises:
            LabelError: it fits two rows.
        """
        ways = zip(HOW, (self._path, self._series, self._name, self._stem), strict=True)
        for how, found in itertools.islice(ways, 1 if exact else None):
            candidates = found(key, base)
            if len(candidates) > 1:
                a, b = sorted(self.rows[i].id for i in candidates[:2])
                raise LabelError(
                    f"{where}: {key!r} fits two items, {a!r} and {b!r}: write its path relative to the data, or its id"
                )
            if candidates:
                self.how[how] += 1
                return candidates[0]
        return -1

    def _path(self, key: str, base: Path | None) -> list[int]:
        places = [str(base)] if base is not None else []
        for place in (*places, *self.roots):
            path = posixpath.normpath(posixpath.join(place, key))
            # A file inside a DICOM folder means the folder.
            found = self.by_path.get(path) or self.by_path.get(posixpath.dirname(path))
            if found:
                return found
        return self.by_id.get(key, [])

    def _series(self, key: str, base: Path | None) -> list[int]:
        return self.by_series.get(key, [])

    def _name(self, key: str, base: Path | None) -> list[int]:
        return self._nearest_folders(key, self.by_name.get(_base(key), []))

    def _stem(self, key: str, base: Path | None) -> list[int]:
        # The key may be a stem already: `patient.1` has no ending to lose.
        found = self.by_stem.get(_base(key)) or self.by_stem.get(stem(key, self.suffixes), [])
        return self._nearest_folders(key, found)

    def _nearest_folders(self, key: str, candidates: list[int]) -> list[int]:
        """Of several candidates, those whose last folders are the key's."""
        folder = posixpath.dirname(key)
        if len(candidates) < 2 or not folder:
            return candidates
        ending = "/" + folder
        return [i for i in candidates if ("/" + posixpath.dirname(portable(self.rows[i].path))).endswith(ending)] or (
            candidates
        )

    @staticmethod
    def _grouped(*names: list[str]) -> dict[str, list[int]]:
        table: dict[str, list[int]] = defaultdict(list)
        for i, values in enumerate(zip(*names, strict=True)):
            for name in set(values):
                table[name].append(i)
        return table


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def match(claims: Claims, matcher: Matcher, allow_unmatched: bool = False) -> list[str]:
    """Fill `claims.row`; return the names that fit no item.

    Raises:
        LabelError: a name fits two items, no name fits, or fewer than half do.
    """
    if claims.row is not None:
        return []
    matcher.how.clear()
    found = [
        matcher.find(key, claims.base, claims.where(i), claims.exact) if key else -1 for i, key in enumerate(claims.key)
    ]
    claims.row = np.array(found, dtype=np.int64)
    unmatched = [claims.key[i] or claims.where(i) for i, row in enumerate(found) if row < 0]
    _check_share(claims, matcher, unmatched, allow_unmatched)
    ways = ", ".join(f"{matcher.how[how]:,} by {how}" for how in HOW if matcher.how[how])
    claims.notes.append(f"{claims.origin}: {len(found) - len(unmatched):,} of {len(found):,} rows matched ({ways})")
    return unmatched


def _check_share(claims: Claims, matcher: Matcher, unmatched: Sequence[str], allow_unmatched: bool) -> None:
    """Stop when nothing or too little matched."""
    total = len(claims)
    if not unmatched:
        return
    example = matcher.rows[0].id if matcher.rows else "no item"
    if len(unmatched) == total:
        raise LabelError(
            f"no row of {claims.origin} fits an item: {unmatched[0]!r} there, {example!r} in the data; "
            "name the column that holds the file's path, name or stem: labels.path=COLUMN"
        )
    if 2 * len(unmatched) > total and not allow_unmatched:
        raise LabelError(
            f"only {total - len(unmatched)} of {total} rows of {claims.origin} fit an item: {unmatched[0]!r} does not "
            f"({example!r} is in the data); correct them or pass labels.allow_unmatched=true"
        )
