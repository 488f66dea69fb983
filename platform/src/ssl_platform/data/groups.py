"""Which items belong together: patient, slide, place or speaker.

A column, else the rule `labels.group`, else the domain's rule, else every file is its own group; what was used is
always said, because a split is only as honest as its groups.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.claims import group_column
from ssl_platform.data.facts import DomainRules
from ssl_platform.data.names import counted, portable
from ssl_platform.errors import LabelError
from ssl_platform.types import Row


@dataclass(frozen=True)
class Groups:
    """The group of every entry.

    Attributes:
        names: one name an entry.
        rule: `column NAME`, `name`, `parent`, the domain's word, or `file`.
        notes: lines to print.
    """

    names: list[str]
    rule: str
    notes: list[str]


class Unions:
    """Sets that merge when they turn out to hold the same thing (union-find; the least name stands for a set)."""

    def __init__(self) -> None:
        self.parent: dict[Hashable, Hashable] = {}

    def find(self, node: Hashable) -> Hashable:
        """The representative of a node's set."""
        root = node
        while (above := self.parent.setdefault(root, root)) != root:
            root = above
        while node != root:
            self.parent[node], node = root, self.parent[node]
        return root

    def join(self, a: Hashable, b: Hashable) -> None:
        """Merge the sets of two nodes."""
        roots = sorted((self.find(a), self.find(b)), key=repr)
        self.parent[roots[1]] = roots[0]


def assign(
    rows: Sequence[Row],
    entry_row: Sequence[int],
    given: Sequence[str] | None,
    config: LabelsConfig,
    domain: DomainRules | None = None,
) -> Groups:
    """Find the group of each entry.

    Args:
        rows: the catalog.
        entry_row: position of each entry's item.
        given: values of the group column, empty where unknown, or None without such a column.
        config: `labels.group`.
        domain: supplies the rule of its files.

    Raises:
        LabelError: `labels.group=name:REGEX` does not compile or fits nothing.
    """
    if given is not None and any(given):
        name = f"column {group_column(config) or 'group'}"
        return _from_column(rows, entry_row, given, domain, name)
    if config.group == "parent":
        folders = [posixpath.dirname(portable(row.id)) or posixpath.dirname(row.path) for row in rows]
        return _spread(folders, entry_row, "parent", f"groups: {{}} by parent folder, {counted(len(rows), 'item')}")
    if config.group is not None and config.group.startswith("name:"):
        return _from_names(rows, entry_row, config.group.removeprefix("name:"))
    return _from_domain(rows, entry_row, domain)


def _spread(names: Sequence[str], entry_row: Sequence[int], rule: str, note: str) -> Groups:
    """Groups of entries from groups of rows; `{}` in the note becomes their number."""
    return Groups([names[i] for i in entry_row], rule, [note.format(counted(len(set(names)), "group"))])


def _domain_groups(rows: Sequence[Row], domain: DomainRules | None) -> tuple[list[str | None], str]:
    """What the domain knows of each row, and its word for it."""
    ask: Callable[[Row], tuple[str | None, str]] = domain.group if domain is not None else _own_group
    answers = [ask(row) for row in rows]
    words = [word for group, word in answers if group is not None] or [word for _, word in answers] or ["file"]
    return [group for group, _ in answers], words[0]


def _own_group(row: Row) -> tuple[str | None, str]:
    return row.group, "file header" if row.group else "file"


def _from_domain(rows: Sequence[Row], entry_row: Sequence[int], domain: DomainRules | None) -> Groups:
    """The domain's rule, and the file where it knows nothing."""
    known, word = _domain_groups(rows, domain)
    names = [row.id if group is None else group for row, group in zip(rows, known, strict=True)]
    alone = sum(group is None for group in known)
    if alone == len(rows):
        thing = "group" if word in ("file", "file header") else word
        return _spread(names, entry_row, "file", f"groups: no {thing} known: every file is its own group ({{}})")
    note = f"groups: {{}} by {word}"
    if alone:
        note += f"; {counted(alone, 'item')} without one: each is its own group"
    return _spread(names, entry_row, word, note)


def _from_column(
    rows: Sequence[Row], entry_row: Sequence[int], given: Sequence[str], domain: DomainRules | None, rule: str
) -> Groups:
    """The column; where it is empty, the group of an item that the domain says is of the same thing, else the file."""
    names = list(given)
    notes = [f"groups: {counted(len(set(filter(None, names))), 'group')} by {rule}"]
    empty = [k for k, name in enumerate(names) if not name]
    if not empty:
        return Groups(names, rule, notes)
    known, word = _domain_groups(rows, domain)
    named: dict[str, set[str]] = defaultdict(set)
    for k, name in enumerate(names):
        group = known[entry_row[k]]
        if name and group is not None:
            named[group].add(name)
    linked = 0
    for k in empty:
        group = known[entry_row[k]]
        if group is None:
            names[k] = rows[entry_row[k]].id
        else:
            names[k] = min(named[group]) if group in named else group
            linked += group in named
    notes.append(
        f"groups: {counted(len(empty), 'entry', 'entries')} not in {rule}: {linked:,} joined to a group by {word}, "
        "the rest by the file's own rule"
    )
    return Groups(names, rule, notes)


def _from_names(rows: Sequence[Row], entry_row: Sequence[int], pattern: str) -> Groups:
    """A regular expression over the file name, else the relative path: its group `group`, its first, or all of it."""
    where = f"labels.group=name:{pattern}"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LabelError(f"{where} is not a regular expression ({error})") from error
    which: int | str = "group" if "group" in compiled.groupindex else min(1, compiled.groups)
    names: list[str] = []
    misses: list[str] = []
    for row in rows:
        item = portable(row.id)
        found = compiled.search(item.rpartition("/")[2]) or compiled.search(item)
        value = found[which] if found else None
        if not value:
            misses.append(row.id)
        names.append(value or row.id)
    if rows and len(misses) == len(rows):
        raise LabelError(f"{where} fits no item: {rows[0].id!r} is the first")
    note = f"groups: {{}} by name:{pattern}"
    if misses:
        note += f"; it does not fit {counted(len(misses), 'item')}, such as {misses[0]!r}: each is its own group"
    return _spread(names, entry_row, "name", note.replace("{", "{{").replace("}", "}}").replace("{{}}", "{}"))


def union_by(keys: Iterable[Iterable[Hashable]]) -> Unions:
    """Sets of nodes that occur together in some of `keys`."""
    unions = Unions()
    for nodes in keys:
        first, *others = nodes
        unions.find(first)
        for other in others:
            unions.join(first, other)
    return unions
