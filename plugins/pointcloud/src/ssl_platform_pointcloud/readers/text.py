"""Points as lines of text: XYZ, CSV, TXT, ASC and Leica's PTS."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header
from ssl_platform_pointcloud.fields import COORDINATES, canonical
from ssl_platform_pointcloud.readers.columns import columns_of
from ssl_platform_pointcloud.readers.numbers import table

_LOOK = 50


@dataclass(frozen=True)
class _Form:
    """How a file is written: lines before the numbers, what stands between them, names of columns, points promised."""

    skip: int
    delimiter: str | None
    names: tuple[str, ...] | None
    points: int | None


def looks_like_points(path: Path) -> bool:
    """Whether the first lines could be points: at least three numbers, under a header that names x, y, z if any."""
    try:
        form = _form(path)
        with path.open(encoding="utf-8-sig", errors="strict") as stream:
            first = next(itertools.islice(_content(stream), form.skip, None), "")
    except (OSError, ValueError, Unreadable):
        return False
    words = first.split(form.delimiter)
    if form.names is not None:
        named = set(COORDINATES) <= set(form.names)
        return named and (not first or all(map(_is_number, (word.replace(",", ".") for word in words[:3]))))
    return len(words) >= 3 and all(map(_is_number, words))


def read_header(path: Path) -> Header:
    """Points and fields; the lines are counted, which takes reading the file.

    Raises:
        Unreadable: it is not a table of points.
    """
    cloud = read(path)
    return Header("text", len(cloud.xyz), fields=tuple(cloud.fields))


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point.

    Raises:
        Unreadable: it is not a table of points.
    """
    form = _form(path)
    try:
        with path.open(encoding="utf-8-sig") as stream:
            values = table(
                itertools.islice(_content(stream), form.skip, None), rows=form.points, delimiter=form.delimiter
            )
    except UnicodeDecodeError:
        raise Unreadable("not text although its name says so") from None
    except Unreadable:
        _check_commas(path, form)
        raise
    if not len(values):
        raise Unreadable("it holds no points")
    if values.shape[1] < 3:
        raise Unreadable(f"{values.shape[1]} numbers a line: points need x, y and z")
    names = form.names or columns_of(values)
    if len(names) != values.shape[1]:
        raise Unreadable(f"its header names {len(names)} columns, its lines have {values.shape[1]}")
    if not set(COORDINATES) <= set(names):
        raise Unreadable(f"its header names no x, y and z (it names {', '.join(names)})")
    columns = {name: values[::step, i] for i, name in enumerate(names)}
    xyz = np.stack([columns.pop(axis) for axis in COORDINATES], axis=1)
    return Cloud(xyz, columns)


def _check_commas(path: Path, form: _Form) -> None:
    """Name decimal commas where they are why numbers could not be read.

    Raises:
        Unreadable: they are.
    """
    with path.open(encoding="utf-8-sig") as stream:
        line = next(itertools.islice(_content(stream), form.skip, None), "")
    word = next((word for word in line.split(form.delimiter) if not _is_number(word)), "")
    if _is_number(word.replace(",", ".")):
        raise Unreadable(f"its numbers have decimal commas ({word.strip()}): write them with points")


def _form(path: Path) -> _Form:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = list(itertools.islice(_content(stream), _LOOK))
    except UnicodeDecodeError:
        raise Unreadable("not text although its name says so") from None
    if not lines:
        raise Unreadable("it is empty")
    promised = None
    if path.suffix.lower() == ".pts" and re.fullmatch(r"\d+\s*", lines[0]):
        promised, lines = int(lines[0]), lines[1:]
    first = lines[0] if lines else ""
    delimiter = next((mark for mark in (";", ",", "\t") if mark in first), None)
    delimiter = None if delimiter == "\t" else delimiter
    words = first.split(delimiter)
    names = None if all(map(_is_number, words)) else tuple(map(canonical, words))
    return _Form((promised is not None) + (names is not None), delimiter, names, promised)


def _content(lines: Iterator[str]) -> Iterator[str]:
    """Lines that say something. A comment that names x, y and z is a header (CloudCompare: `//X Y Z R G B`)."""
    header = False
    for line in lines:
        text = line.strip()
        if text.startswith(("#", "//")):
            names = [canonical(word) for word in re.split(r"[\s,;]+", text.lstrip("#/ "))]
            if header or names[:3] != list(COORDINATES):
                continue
            text = text.lstrip("#/ ")
        if text:
            header = True
            yield text


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
