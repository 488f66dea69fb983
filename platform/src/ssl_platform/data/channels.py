"""Items whose channels lie in files of their own: `path:T1`, `path:T2` columns, and nnU-Net's `case_0000.nii.gz`.

In the catalog such an item is one Row: `channels` names all channels, `parts["channel:T1"]` holds the file of each
channel that is there (an absent one has no entry and is read as invalid), and `path` is the first file.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssl_platform.data.dataset_json import DatasetJson, find_dataset_json
from ssl_platform.data.names import counted, listing, stem
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row

CHANNEL_PART = "channel:"
MAX_CHANNELS = 16
_NUMBERED = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


@dataclass(frozen=True)
class Item:
    """One thing to be scanned.

    Attributes:
        id: stable id: what the table says, or the path relative to its root.
        path: absolute path of the file or folder (of the first channel).
        channels: file of each channel by name, None where it is absent; empty for an item of one file.
        columns: values of the domain's declared columns, which overrule the file header.
        only: of a file of several items, those that are used, by their names in it; empty for all.
    """

    id: str
    path: str
    channels: Mapping[str, str | None] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] = frozenset()

    @property
    def parts(self) -> dict[str, str]:
        """`Row.parts` entries of the channels that are there."""
        return {CHANNEL_PART + name: path for name, path in self.channels.items() if path is not None}


def join_channels(items: Sequence[Item], suffixes: Sequence[str] = ()) -> tuple[list[Item], list[str]]:
    """Join numbered channel files of one case into one item.

    Files are joined where `dataset.json` lies beside or above their folder, or where every numbered case of the folder
    has the same channels `_0000`, `_0001`, .. without a gap: a series of pictures that merely carries numbers stays
    apart.

    Args:
        items: single files.
        suffixes: the domain's file endings.

    Returns:
        The items in order of the first file of each, and lines to print.
    """
    folders: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        if not item.channels:
            folders[posixpath.dirname(item.path)].append(i)
    joined: dict[int, Item | None] = {}
    notes: list[str] = []
    for folder, members in folders.items():
        cases = _cases([(i, stem(items[i].path, suffixes)) for i in members])
        if not cases:
            continue
        description = find_dataset_json(Path(folder))
        names = _channel_names(cases, description)
        if not names:
            continue
        for case, files in cases.items():
            first = min(files.values())
            joined.update(dict.fromkeys(files.values()))
            paths = {name: items[files[k]].path if k in files else None for k, name in enumerate(names)}
            head = items[first]
            joined[first] = Item(_case_id(head.id, case), head.path, paths, head.columns)
        notes.append(
            f"{folder}: files {listing([f'_{k:04d}' for k in range(len(names))])} joined as channels "
            f"{listing(names)} of {counted(len(cases), 'item')}"
        )
    result = (joined.get(i, item) for i, item in enumerate(items))
    return [item for item in result if item is not None], notes


def combine_channels(item: Item, rows: Mapping[str, Row]) -> Row:
    """The catalog row of an item from the rows of its channel files.

    Args:
        item: with `channels`.
        rows: row of each channel file that is there, by channel name.

    Raises:
        Unreadable: the files do not share one grid, or hold several channels each.
    """
    first_name, first = next(iter(rows.items()))
    for name, row in rows.items():
        if len(row.channels) > 1:
            raise Unreadable(f"channel {name} has {len(row.channels)} channels in {row.path}")
        if row.shape != first.shape or not _same_spacing(row.spacing, first.spacing):
            raise Unreadable(
                f"channel {name} has shape {row.shape} and spacing {row.spacing}, "
                f"channel {first_name} {first.shape} and {first.spacing}"
            )
    content = "\0".join(f"{name}={row.fingerprint}" for name, row in rows.items())
    return first.replace(
        id=item.id,
        path=item.path,
        channels=tuple(item.channels),
        bytes=sum(row.bytes for row in rows.values()),
        fingerprint=hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
        parts={**first.parts, **item.parts},
    )


def _same_spacing(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-3) for x, y in zip(a, b, strict=True))


def _cases(names: Iterable[tuple[int, str]]) -> dict[str, dict[int, int]]:
    """Numbered files by case: `{case: {channel: position}}`."""
    cases: dict[str, dict[int, int]] = defaultdict(dict)
    for i, name in names:
        found = _NUMBERED.fullmatch(name)
        if found:
            cases[found["case"]][int(found["channel"])] = i
    return cases


def _channel_names(cases: Mapping[str, Mapping[int, int]], description: DatasetJson | None) -> tuple[str, ...]:
    """Names of the channels, or nothing when the numbers are not channels."""
    numbers = {tuple(sorted(files)) for files in cases.values()}
    top = max(number for files in numbers for number in files) + 1
    if description is not None and top <= max(1, len(description.channels)):
        # Two channels of one name (nnU-Net allows it) would not be told apart.
        names = description.channels
        return names if len(set(names)) == len(names) else tuple(f"{n} {k}" for k, n in enumerate(names))
    same = len(numbers) == 1 and next(iter(numbers)) == tuple(range(top))
    if same and top <= MAX_CHANNELS and (len(cases) > 1 or description is not None):
        return tuple(f"{k:04d}" for k in range(top))
    return ()


def _case_id(first_id: str, case: str) -> str:
    """Id of the item: the folder of its first file and the case, with the file's ending."""
    folder, name = posixpath.split(first_id)
    return posixpath.join(folder, case + name[len(case) + 5 :])
