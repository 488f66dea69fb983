"""Paths of a `mask` column: relative to the table's folder, then to the `--data` roots."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path

from ssl_platform.data.claims import Claims
from ssl_platform.data.names import portable
from ssl_platform.errors import DataError


def find_file(name: str, folders: Sequence[str]) -> str | None:
    """The first absolute path of `name` under the folders that exists, or None."""
    for folder in folders:
        path = posixpath.normpath(posixpath.join(folder, name))
        if Path(path).exists():
            return path
    return None


def resolve_masks(claims: Claims, roots: Sequence[str]) -> None:
    """Make the mask column of a table absolute.

    Raises:
        DataError: a mask does not exist.
    """
    masks = claims.columns.get("mask")
    if masks is None or claims.base is None:
        return
    folders = [posixpath.abspath(claims.base), *(posixpath.abspath(root) for root in roots)]
    resolved = []
    for k, name in enumerate(masks):
        path = find_file(portable(name), folders) if name else ""
        if path is None:
            raise DataError(
                f"{claims.where(k)}: mask {name!r} does not exist (looked in {' and '.join(folders)}): correct the path"
            )
        resolved.append(path)
    claims.columns["mask"] = resolved
