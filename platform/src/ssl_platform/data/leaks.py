"""Leaks between parts and between pretraining and test, found by group and by identical content."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from ssl_platform.data.facts import Facts
from ssl_platform.data.names import counted
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row

_TRAIN, _TEST = 1, 3
_WORDS = {1: "train", 2: "val", 3: "test"}


def check_codes(rows: Sequence[Row], facts: Facts, codes: np.ndarray) -> None:
    """Check that no group and no content lies in two parts of any round.

    Args:
        rows: the catalog.
        facts: what is known of the items.
        codes: `[folds, n]` parts.

    Raises:
        DataError: one does, with names.
    """
    for fold in codes:
        _check(rows, facts, fold, lambda code: _WORDS[code])


def check_folds(rows: Sequence[Row], facts: Facts, fold: np.ndarray) -> None:
    """Check that no group and no content lies in two folds (`[n]` int, -1 unused).

    Raises:
        DataError: one does, with names.
    """
    _check(rows, facts, fold + 1, lambda code: f"fold {code - 1}")


def _check(rows: Sequence[Row], facts: Facts, part: np.ndarray, word: Callable[[int], str]) -> None:
    """Groups first (the likelier mistake), then contents; `part` is 0 for unused entries."""
    used = np.flatnonzero(part).tolist()
    parts = part.tolist()
    first: dict[Hashable, int] = {}
    for i in used:
        j = first.setdefault(facts.group[i], i)
        if parts[j] != parts[i]:
            fix = "give all of it one split, or correct the groups"
            if facts.group_rule == "file":
                fix = "give all windows of a file one split, or a group column that says they are unrelated"
            raise DataError(
                f"group {facts.group[i]!r} is in {word(parts[j])} ({facts.id[j]!r}) and {word(parts[i])} "
                f"({facts.id[i]!r}): {fix}"
            )
    contents: dict[str, list[int]] = defaultdict(list)
    row_of = facts.row.tolist()
    for i in used:
        contents[rows[row_of[i]].fingerprint].append(i)
    contents.pop("", None)
    for members in contents.values():
        if len({parts[i] for i in members}) > 1:
            _check_copies(facts, members, parts, word)


def _check_copies(facts: Facts, members: Sequence[int], parts: Sequence[int], word: Callable[[int], str]) -> None:
    """Entries with one content may lie in several parts only as windows that do not meet."""
    places = np.array([parts[i] for i in members])
    boxes = [facts.window[i] or () for i in members]
    rank = max(map(len, boxes))
    whole = [(-math.inf, math.inf)]
    bounds = np.array([[*box, *whole * (rank - len(box))] for box in boxes]).reshape(len(boxes), rank, 2)
    for k, i in enumerate(members):
        meet = ((bounds[k, :, 0] < bounds[:, :, 1]) & (bounds[:, :, 0] < bounds[k, :, 1])).all(axis=1)
        found = np.flatnonzero(meet & (places != places[k]))
        if len(found):
            j = members[int(found[0])]
            raise DataError(
                f"{facts.id[i]!r} in {word(parts[i])} and {facts.id[j]!r} in {word(parts[j])} have identical content: "
                "remove one, or give both one split"
            )


def check_classes(facts: Facts, codes: np.ndarray) -> None:
    """Check that every class of the test part occurs in the training part of its round.

    Raises:
        LabelError: one does not.
    """
    layout = facts.layout
    if layout is None or layout.kind not in ("classification", "multi-label"):
        return
    for k, fold in enumerate(codes):
        tested, trained = _occurring(facts, fold == _TEST), _occurring(facts, fold == _TRAIN)
        unseen = np.flatnonzero(tested & ~trained)
        if not trained.any() or not len(unseen):
            continue
        name = layout.classes[unseen[0]]
        has = facts.target == unseen[0] if layout.kind == "classification" else facts.target[:, unseen[0]] == 1
        example = facts.id[int(np.flatnonzero(has & (fold == _TEST))[0])]
        groups = {facts.group[i] for i in np.flatnonzero(has)}
        where = f"fold {k}" if len(codes) > 1 else "test"
        raise LabelError(
            f"class {name!r} is in {where} ({example!r}) and not in train: it occurs in "
            f"{counted(len(groups), 'group')}; merge or drop the class, or give a split column "
            "(labels.unseen=allow where it is an anomaly)"
        )


def _occurring(facts: Facts, used: np.ndarray) -> np.ndarray:
    """`[K]` bool, classes that occur among the entries."""
    assert facts.layout is not None
    if facts.layout.kind == "multi-label":
        return (facts.target[used] == 1).any(axis=0)
    known = facts.target[used & (facts.target >= 0)]
    return np.bincount(known, minlength=len(facts.layout.classes)) > 0


def pretraining_rows(
    rows: Sequence[Row], facts: Facts, codes: np.ndarray, include_test: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Rows to pretrain on: all but known test rows, their groups and copies of them.

    In a cross-validation every item is tested once, so nothing can be left out; that is said.

    Args:
        rows: the catalog.
        facts: what is known of the items.
        codes: `[folds, n]` parts.
        include_test: `data.include_test`.

    Returns:
        Ascending catalog positions, and lines to print.
    """
    everything = np.arange(len(rows), dtype=np.int64)
    tested = (codes == _TEST).any(axis=0)
    if not tested.any():
        return everything, []
    if len(codes) > 1:
        return everything, [
            f"pretraining: {len(codes)}-fold tests every labelled item once, so none is left out; "
            "give a split column to keep test items out"
        ]
    entries = np.flatnonzero(tested).tolist()
    row_of = facts.row.tolist()
    test_rows = {row_of[i] for i in entries}
    if include_test:
        return everything, [f"pretraining: includes {counted(len(test_rows), 'test item')} (data.include_test=true)"]
    groups = {facts.group[i] for i in entries}
    contents = {rows[r].fingerprint for r in test_rows} - {""}
    related = {r for r, group in zip(row_of, facts.group, strict=True) if group in groups}
    related |= {r for r, row in enumerate(rows) if row.fingerprint in contents}
    out = test_rows | related
    kept = np.setdiff1d(everything, np.fromiter(out, np.int64, len(out)))
    if not len(kept):
        raise DataError(
            "pretraining: every item is a test item or of its group: pass data.include_test=true or other --data"
        )
    others = len(out) - len(test_rows)
    and_others = f" and {others:,} more of their groups" if others else ""
    return kept, [
        f"pretraining: {counted(len(test_rows), 'test item')}{and_others} left out (data.include_test=true keeps them)"
    ]


def monitor_entries(facts: Facts, codes: np.ndarray) -> np.ndarray:
    """Ascending positions of the labelled entries that the kNN monitor may see: train and val, never test."""
    seen = (codes > 0).all(axis=0) & ~(codes == _TEST).any(axis=0)
    if len(codes) > 1:
        # every item of a cross-validation is tested in some round; the monitor watches the first
        seen = (codes[0] > 0) & (codes[0] != _TEST)
    return np.flatnonzero(seen & facts.labelled)


def pretraining_overlap(test: Sequence[str], pretrained: Collection[str] | None) -> tuple[int | None, str]:
    """How many test items the encoder has seen, by fingerprint.

    Args:
        test: fingerprints of the test items.
        pretrained: fingerprints of the pretraining items, or None where only the encoder file exists.

    Returns:
        The number (None: unknown) and the line to print.
    """
    if pretrained is None or not all(test):
        return None, f"unknown whether the {counted(len(test), 'test item')} were in pretraining"
    seen = sum(fingerprint in pretrained for fingerprint in test)
    return seen, f"{seen:,} of {counted(len(test), 'test item')} were in pretraining"
