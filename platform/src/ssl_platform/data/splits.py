"""Train, validation and test.

Columns win. Else whole groups are dealt out, stratified, in order of hash(seed, group): 60/20/20, or five folds when
fewer than a hundred groups are labelled. A group or identical content in two parts is an error, never a note.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data import draw, leaks, split_file
from ssl_platform.data.box import box_text
from ssl_platform.data.claims import split_file as named_file
from ssl_platform.data.facts import Facts
from ssl_platform.data.groups import union_by
from ssl_platform.data.names import counted
from ssl_platform.data.spatial import block_groups, drop_gap, parse_blocks
from ssl_platform.errors import DataError
from ssl_platform.types import Row

UNUSED, TRAIN, VAL, TEST = 0, 1, 2, 3
CODES = {"": UNUSED, "train": TRAIN, "val": VAL, "test": TEST}
NAMES = {code: name for name, code in CODES.items()}
SHARES = (0.6, 0.2, 0.2)
VAL_SHARE = 0.2  # of train, where only train and test are given
FEW_GROUPS = 100
FOLDS = 5


@dataclass(frozen=True)
class Splits:
    """Which entries train, validate and test.

    Attributes:
        codes: `[folds, n]` int8: 0 unused, 1 train, 2 val, 3 test; one row unless it is a cross-validation.
        rule: `none`, `columns`, `fold column`, `drawn`, `5-fold`, `blocks` or `file`.
        id: hash of who is where; results compare only under one id. Empty without a split.
        notes: lines to print.
    """

    codes: np.ndarray
    rule: str = "none"
    id: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def folds(self) -> int:
        """Number of rounds: 1, or the folds of a cross-validation."""
        return int(self.codes.shape[0])

    def positions(self, part: str, fold: int = 0) -> np.ndarray:
        """Ascending positions of the entries of `train`, `val` or `test` in one round."""
        return np.flatnonzero(self.codes[fold] == CODES[part])

    @property
    def fold(self) -> np.ndarray:
        """`[n]` int64 round in which an entry is tested, -1 where it never is."""
        tested = self.codes == TEST
        return np.where(tested.any(axis=0), tested.argmax(axis=0), -1).astype(np.int64)


def resolve(rows: Sequence[Row], facts: Facts, config: LabelsConfig, *, seed: int = 0) -> Splits:
    """Take over or draw the split of all entries, and check it.

    Args:
        rows: the catalog.
        facts: what is known of the items.
        config: `labels.split`, `labels.blocks`.
        seed: of the order; the same seed and groups give the same split whatever else changes.

    Raises:
        DataError: a group or identical content lies in two parts, a splits file does not fit, or nothing can be drawn.
        LabelError: a class of the test part is unknown to the training part.
    """
    path = named_file(config)
    if path is not None:
        codes = split_file.read(path, facts, config.allow_unmatched)
        made = Splits(codes, "file", notes=(f"split: reused from {path}",))
        leaks.check_codes(rows, facts, codes)
    elif any(facts.split):
        made = _from_columns(rows, facts, seed)
    elif (facts.fold >= 0).any():
        made = _from_folds(rows, facts, seed)
    elif facts.labelled.any():
        made = _drawn(rows, facts, config, seed)
    else:
        return Splits(np.zeros((1, len(facts)), dtype=np.int8))
    if config.unseen == "refuse":
        leaks.check_classes(facts, made.codes)
    sizes = ", ".join(f"{NAMES[code]} {_sizes(made.codes, code)}" for code in (TRAIN, VAL, TEST))
    made = replace(made, id=_id(facts, made.codes))
    return replace(made, notes=(*made.notes, f"split: {made.rule}: {sizes} (id {made.id})"))


def _sizes(codes: np.ndarray, code: int) -> str:
    """Entries of one part, or the range over folds."""
    counts = (codes == code).sum(axis=1)
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _id(facts: Facts, codes: np.ndarray) -> str:
    """Hash of the items and their parts, whatever their order: 12 hexadecimal digits."""
    used = np.flatnonzero(codes.any(axis=0))
    lines = sorted(f"{facts.id[i]}\t{box_text(facts.window[i])}\t{codes[:, i].tolist()}" for i in used)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _from_columns(rows: Sequence[Row], facts: Facts, seed: int) -> Splits:
    """The split column; an entry without one follows its group, and validation is drawn inside train if absent."""
    notes = []
    if (facts.fold >= 0).any():
        notes.append("split: the column of splits is used and the one of folds is not")
    given = np.array([CODES[name] for name in facts.split], dtype=np.int8)
    leaks.check_codes(rows, facts, given[None])
    of_group = {facts.group[i]: given[i] for i in np.flatnonzero(given)}
    codes = np.array([of_group.get(group, UNUSED) for group in facts.group], dtype=np.int8)
    followed, left = int((codes[given == UNUSED] > 0).sum()), int(((codes == UNUSED) & facts.labelled).sum())
    if followed:
        notes.append(f"split: {counted(followed, 'entry', 'entries')} without a split follow their group")
    if left:
        notes.append(f"split: {counted(left, 'labelled item')} without a split are not used")
    if not (codes == VAL).any() and (facts.labelled & (codes == TRAIN)).any():
        _draw_validation(rows, facts, codes, f"{seed}/val")
        notes.append(f"split: no val in the column: {VAL_SHARE:.0%} of the train groups drawn for it")
    if not (codes == TEST).any():
        notes.append("split: no test in the column")
    return Splits(codes[None], "columns", notes=tuple(notes))


def _from_folds(rows: Sequence[Row], facts: Facts, seed: int) -> Splits:
    """The fold column: every fold is tested once."""
    numbers = np.unique(facts.fold[facts.fold >= 0])
    if len(numbers) < 2:
        raise DataError(f"the fold column holds one fold only ({numbers[0]}): cross-validation needs at least two")
    leaks.check_folds(rows, facts, facts.fold)
    return _rounds(rows, facts, np.searchsorted(numbers, facts.fold), facts.fold >= 0, seed, "fold column", [])


def _rounds(
    rows: Sequence[Row],
    facts: Facts,
    fold: np.ndarray,
    used: np.ndarray,
    seed: int,
    rule: str,
    notes: list[str],
) -> Splits:
    """One round a fold: the fold is tested, validation is drawn inside the rest."""
    count = int(fold[used].max()) + 1
    codes = np.where(used, TRAIN, UNUSED).astype(np.int8)[None].repeat(count, axis=0)
    for k in range(count):
        codes[k, used & (fold == k)] = TEST
        _draw_validation(rows, facts, codes[k], f"{seed}/val {k}")
    return Splits(codes, rule, notes=tuple(notes))


def _draw_validation(rows: Sequence[Row], facts: Facts, codes: np.ndarray, seed: str) -> None:
    """Move a fifth of the train groups to validation, in place."""
    train = codes == TRAIN
    groups, of_entry = strata(rows, facts, train & facts.labelled)
    dealt = draw.deal(groups, (1 - VAL_SHARE, VAL_SHARE), seed, first=(0, 1))
    for i in np.flatnonzero(train).tolist():
        if dealt.get(of_entry[i]) == 1:
            codes[i] = VAL


def _drawn(rows: Sequence[Row], facts: Facts, config: LabelsConfig, seed: int) -> Splits:
    """Deal the labelled groups out."""
    blocks = parse_blocks(config.blocks) if config.blocks else None
    drawn_facts, notes = facts, []
    if blocks is not None:
        names, line = block_groups(rows, facts, blocks)
        drawn_facts, notes = replace(facts, group=names, group_rule="blocks"), [line]
    groups, of_entry = strata(rows, drawn_facts, facts.labelled)
    if len(groups) < 2:
        raise DataError(
            f"all labelled items are one group ({groups[0].name!r}, by {drawn_facts.group_rule}): it cannot be split; "
            "give labels.group=COLUMN, a split column, or labels.blocks for geodata"
        )
    rule = "blocks" if blocks else "drawn" if len(groups) >= FEW_GROUPS else f"{min(FOLDS, len(groups))}-fold"
    if len(groups) < FEW_GROUPS:
        count = min(FOLDS, len(groups))
        dealt = draw.deal(groups, [1 / count] * count, seed)
        fold = np.array([dealt.get(name, -1) for name in of_entry])
        notes.append(
            f"split: {counted(len(groups), 'labelled group')}, fewer than {FEW_GROUPS}: {count} folds, every item "
            "tested once, validation drawn inside train"
        )
        made = _rounds(rows, drawn_facts, fold, facts.labelled, seed, rule, notes)
    else:
        dealt = draw.deal(groups, SHARES, seed, first=(0, 2, 1))
        codes = np.array(
            [dealt[name] + 1 if known else UNUSED for name, known in zip(of_entry, facts.labelled, strict=True)],
            dtype=np.int8,
        )
        notes.append(f"split: {counted(len(groups), 'labelled group')} drawn 60/20/20 by class with seed {seed}")
        made = Splits(codes[None], rule, notes=tuple(notes))
    if blocks is not None:
        codes, line = drop_gap(rows, facts, made.codes, blocks)
        made = replace(made, codes=codes, notes=(*made.notes, line))
    return made


def strata(rows: Sequence[Row], facts: Facts, used: np.ndarray) -> tuple[list[draw.Stratum], list[str]]:
    """What each group holds, with groups that share identical content taken as one.

    Args:
        rows: the catalog.
        facts: what is known of the items.
        used: `[n]` bool, entries that count.

    Returns:
        The groups, and the name of every entry's group (also of those that do not count).
    """
    contents = (
        [("group", facts.group[i])] + ([("content", fingerprint)] if fingerprint else [])
        for i, fingerprint in enumerate(rows[r].fingerprint for r in facts.row.tolist())
    )
    unions = union_by(contents)
    of_entry = [str(unions.find(("group", name))) for name in facts.group]
    names: dict[str, str] = {}
    for entry, group in zip(of_entry, facts.group, strict=True):
        names[entry] = min(names.get(entry, group), group)
    of_entry = [names[entry] for entry in of_entry]
    made: dict[str, draw.Stratum] = {}
    classes = _classes(facts, of_entry, used)
    for i in np.flatnonzero(used).tolist():
        stratum = made.setdefault(of_entry[i], draw.Stratum(of_entry[i]))
        stratum.size += 1
        for name in classes[i]:
            stratum.classes[name] = stratum.classes.get(name, 0) + 1
    return list(made.values()), of_entry


def _classes(facts: Facts, of_entry: Sequence[str], used: np.ndarray) -> list[tuple[str, ...]]:
    """The strata of every entry."""
    layout = facts.layout
    if layout is not None and layout.kind == "classification":
        return [(layout.classes[k],) if k >= 0 else ("unknown",) for k in facts.target.tolist()]
    if layout is not None and layout.kind == "multi-label":
        named = [tuple(np.array(layout.classes)[row == 1].tolist()) for row in facts.target]
        return [names or ("none of them",) for names in named]
    if layout is not None and layout.kind == "regression":
        values: dict[str, list[float]] = defaultdict(list)
        for i in np.flatnonzero(used & facts.labelled).tolist():
            values[of_entry[i]].append(float(facts.target[i]))
        binned = draw.bins({name: sum(sorted(known)) / len(known) for name, known in values.items()})
        return [(binned.get(name, "unknown"),) for name in of_entry]
    return [("all",)] * len(facts)
