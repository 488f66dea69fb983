"""What `--data` names: files, folders and globs become candidates a domain may read."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_platform.data.table import TABLE_SUFFIXES
from ssl_platform.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from ssl_platform.domain import Domain


@dataclass(frozen=True)
class Root:
    """One thing `--data` names.

    Attributes:
        argument: as it was written.
        path: the file or folder, absolute.
        base: folder that ids are relative to.
    """

    argument: str
    path: Path
    base: Path


def _absolute(text: str | Path) -> Path:
    """Absolute without resolving links: a linked data set keeps the names the user gave it."""
    return Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111


def expand(data: Sequence[str | Path]) -> list[Root]:
    """Files and folders that the arguments name, in their order.

    Args:
        data: files, folders, or globs (`**` goes through folders).

    Raises:
        DataError: one does not exist, matches nothing, or is an address.
    """
    roots: list[Root] = []
    for argument in map(str, data):
        if "://" in argument:
            raise DataError(f"{argument}: only local files and folders can be read here; mount or copy it first")
        path = _absolute(argument)
        if path.exists():
            roots.append(Root(argument, path, path if path.is_dir() else path.parent))
        elif glob.has_magic(argument):
            found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            if not found:
                raise DataError(f"{argument} matches no file")
            plain = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
            base = Path(*plain)
            roots.extend(Root(argument, Path(file), base) for file in found)
        else:
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"{argument} does not exist{did_you_mean(path.name, siblings)}")
    return roots


def named_tables(roots: Sequence[Root]) -> set[str]:
    """Tables that are named outright: they are data whatever they are called, signals and points are tables too."""
    return {
        str(root.path)
        for root in roots
        if root.path.suffix.lower() in TABLE_SUFFIXES and root.path.is_file() and not glob.has_magic(root.argument)
    }


def candidates(roots: Sequence[Root], domain: Domain) -> Iterator[tuple[Root, str]]:
    """Paths the domain may read, each once, in a stable order.

    A file named outright is a candidate whatever its ending; below folders and for globs the domain chooses.
    """
    several = len(roots) > 1
    seen: set[str] = set()
    for root in roots:
        chosen = root.path.is_dir() or not glob.has_magic(root.argument)
        for path in domain.find(root.path) if chosen or domain.claims(root.path) else ():
            text = str(path)
            if several:
                if text in seen:
                    continue
                seen.add(text)
            yield root, text


def nothing_found(data: Sequence[str | Path], roots: Sequence[Root], domain: Domain, masks: int = 0) -> DataError:
    """The error for input without a single candidate: what the domain reads, and what is there instead."""
    where = ", ".join(map(str, data))
    if masks:
        return DataError(f"no items in {where}: all {masks} files look like label masks; data.include=GLOB uses them")
    reads = f"{domain.name} reads {', '.join(domain.suffixes)}" if domain.suffixes else f"{domain.name} reads none"
    files = (Path(folder, name) for root in roots for folder, _, names in os.walk(root.path) for name in sorted(names))
    example = next(files, next((root.path for root in roots if root.path.is_file()), None))
    found = f"found only files such as {example.name}" if example else "there is no file"
    return DataError(f"no items in {where}: {found}; {reads}")
