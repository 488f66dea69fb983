"""What a source says of items, before it is known which items it means.

A table, a mask folder, folder names, a regular expression over names and a field stored in the files all end up as
`Claims`: aligned columns of text, one entry a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.names import listing, nearest, portable
from ssl_platform.data.table import TABLE_SUFFIXES, Table
from ssl_platform.errors import DataError

CHANNEL_PREFIX = "path:"
PLAIN = ("mask", "group", "split", "fold", "window", "pair", "time", "id")
_CONFIGURED = ("mask", "group", "split", "fold")


@dataclass
class Claims:
    """Aligned columns, one entry a statement about one item.

    Attributes:
        origin: name of the source, for messages.
        where: place of a statement, for messages: `labels.csv line 7`.
        key: how each statement names its item; empty when `row` is already known.
        base: folder that relative paths start from, or None.
        labels: values of the label column, or of several 0/1 columns, by column name.
        columns: the columns `mask`, `group`, `split`, `fold`, `window`, `pair`, `time`, `id` that the source has.
        channels: files of the channels of one item, by channel name.
        meta: all further columns.
        row: `[m]` int64 position of the item in the catalog, -1 unmatched; None before matching.
        classes: names of mask values where the source gives them (`dataset.json`).
        notes: lines to print.
        exact: whether keys are the paths of all items there are, so that none means another of equal name.
    """

    origin: str
    where: Callable[[int], str]
    key: list[str]
    base: Path | None = None
    labels: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    channels: dict[str, list[str]] = field(default_factory=dict)
    meta: dict[str, list[str]] = field(default_factory=dict)
    row: np.ndarray | None = None
    classes: Mapping[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    exact: bool = False

    def __len__(self) -> int:
        return len(self.key) if self.row is None else len(self.row)


def group_column(config: LabelsConfig) -> str | None:
    """The column that `labels.group` names, or None when it is a rule."""
    rule = config.group
    return None if rule is None or rule == "parent" or rule.startswith("name:") else rule


def split_file(config: LabelsConfig) -> Path | None:
    """The splits file that `labels.split` names, or None when it is a column.

    Raises:
        DataError: it looks like a file and there is none.
    """
    if config.split is None:
        return None
    path = Path(config.split)
    if path.suffix.lower() in TABLE_SUFFIXES or "/" in config.split:
        if not path.is_file():
            raise DataError(f"labels.split={config.split}: no such file (give a splits.csv, or the name of a column)")
        return path
    return None


def claims_of_table(table: Table, config: LabelsConfig, needs_facts: bool = True) -> Claims:
    """Sort the columns of a table by what they mean.

    Args:
        table: as read.
        config: names of columns that are called otherwise.
        needs_facts: whether a table without any fact is an error (`--labels`), or fine (`--manifest`).

    Raises:
        DataError: a column that was named, or the path column, is not there; or the table says nothing.
    """
    used: set[str] = set()
    key = _key_column(table, config)
    channels = {
        name[len(CHANNEL_PREFIX) :]: values
        for name, values in table.columns.items()
        if name.startswith(CHANNEL_PREFIX) and name != key
    }
    used |= {CHANNEL_PREFIX + name for name in channels}
    labels = {name: table.column(name, "labels.label") for name in _label_columns(table, config)}
    columns = {}
    for role in PLAIN:
        name = _role_column(role, config)
        if name is not None and (name in table.columns or getattr(config, role, None) is not None):
            columns[role] = table.column(name, f"labels.{role}")
            used.add(name)
    used |= set(labels)
    if key:
        used.add(key)
    if needs_facts and not labels and not columns.keys() - {"id"}:
        raise DataError(
            f"{table.path.name} has no column 'label', 'mask', 'group' or 'split': its columns are "
            f"{listing(list(table.columns))}{nearest('label', table.columns)}; name it: labels.label=COLUMN"
        )
    names = table.columns[key] if key else _first_channel(channels)
    meta = {name: values for name, values in table.columns.items() if name not in used}
    notes = list(table.notes)
    if any("\\" in name for name in names):
        notes.append(f"{table.path.name}: backslashes in paths read as slashes")
    return Claims(
        table.path.name,
        table.where,
        [portable(name) for name in names],
        table.path.parent,
        labels,
        columns,
        {name: [portable(value) for value in values] for name, values in channels.items()},
        meta,
        notes=notes,
    )


def _key_column(table: Table, config: LabelsConfig) -> str | None:
    """The column that says which item a row means; None for `path:T1`, `path:T2` columns."""
    if config.path is not None:
        table.column(config.path, "labels.path")
        return config.path
    if "path" in table.columns:
        return "path"
    if any(name.startswith(CHANNEL_PREFIX) for name in table.columns):
        return None
    if "id" in table.columns:
        return "id"
    raise DataError(
        f"{table.path.name} has no column 'path' or 'id': its columns are {listing(list(table.columns))}"
        f"{nearest('path', table.columns)}; name it: labels.path=COLUMN"
    )


def _label_columns(table: Table, config: LabelsConfig) -> Sequence[str]:
    """The columns that hold the label."""
    if isinstance(config.label, list):
        return config.label
    if config.label is not None:
        return [config.label]
    return ["label"] if "label" in table.columns else []


def _role_column(role: str, config: LabelsConfig) -> str | None:
    """The name a role's column goes by, or None when a rule replaces the column."""
    if role == "group":
        return group_column(config) or ("group" if config.group is None else None)
    if role == "split":
        return None if split_file(config) else config.split or "split"
    return (getattr(config, role) if role in _CONFIGURED else None) or role


def _first_channel(channels: Mapping[str, Sequence[str]]) -> list[str]:
    """For each row the first file that is there."""
    return [next((name for name in names if name), "") for names in zip(*channels.values(), strict=True)]
