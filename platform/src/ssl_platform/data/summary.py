"""What `ssl-platform scan` says of labels, groups and splits: the check to run first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ssl_platform.data.facts import Facts
from ssl_platform.data.masks import aside_lines
from ssl_platform.data.names import counted, listing, natural_key
from ssl_platform.data.splits import NAMES, TEST, TRAIN, VAL, Splits
from ssl_platform.types import Row

MANY = 20  # classes listed


def summarise(
    rows: Sequence[Row], facts: Facts, splits: Splits | None = None, aside: Mapping[str, str] | None = None
) -> list[str]:
    """Lines to print: what was assumed, then counts per class, split and group, unmatched names, masks set aside.

    Args:
        rows: the catalog.
        facts: what is known of the items.
        splits: who is where, if there is a split.
        aside: masks set aside with the reason of each.
    """
    lines = [*facts.notes, *(splits.notes if splits is not None else ()), *aside_lines(aside or {})]
    entries = f" in {counted(len(facts), 'window')}" if len(facts) != len(rows) else ""
    lines.append(
        f"{counted(len(rows), 'item')}{entries}: {int(facts.labelled.sum()):,} labelled, "
        f"{int((~facts.labelled).sum()):,} unlabelled, {_group_sizes(facts)}"
    )
    lines += _table(facts, splits)
    fact = "a mask" if facts.layout is not None and facts.layout.kind == "segmentation" else "a row"
    for names, noun, lack in ((facts.unmatched_labels, "label", "an item"), (facts.unmatched_items, "item", fact)):
        if names:
            lines.append(f"{counted(len(names), noun)} without {lack}: {listing(names, 5)}")
    return lines


def _group_sizes(facts: Facts) -> str:
    """`12 groups of 1 to 4 items`."""
    items: dict[str, set[int]] = defaultdict(set)
    for group, row in zip(facts.group, facts.row.tolist(), strict=True):
        items[group].add(row)
    sizes = [len(members) for members in items.values()] or [0]
    return f"{counted(len(items), 'group')} of {min(sizes)} to {counted(max(sizes), 'item')}"


def _table(facts: Facts, splits: Splits | None) -> list[str]:
    """Counts of entries and groups per class, in columns for the parts of the split."""
    classes = _entries_by_class(facts)
    if not classes:
        return []
    parts: dict[str, np.ndarray] = {"all": facts.labelled}
    if splits is not None and splits.folds == 1 and splits.id:
        parts |= {NAMES[code]: splits.codes[0] == code for code in (TRAIN, VAL, TEST)}
    elif splits is not None and splits.id:
        parts |= {f"fold {k}": splits.fold == k for k in range(splits.folds)}
    width = max(len("class"), *(len(name) for name in [*classes][:MANY]))
    lines = [f"{'class':<{width}}  " + "".join(f"{name:>9}" for name in parts) + f"{'groups':>9}"]
    for name in [*classes][:MANY]:
        members = classes[name]
        counts = "".join(f"{int(mask[members].sum()):>9,}" for mask in parts.values())
        lines.append(f"{name:<{width}}  {counts}{len({facts.group[i] for i in members.tolist()}):>9,}")
    if len(classes) > MANY:
        lines.append(f"and {len(classes) - MANY} more classes")
    return lines


def _entries_by_class(facts: Facts) -> dict[str, np.ndarray]:
    """Labelled entries of every class in natural order; one line for regression and segmentation."""
    layout = facts.layout
    if layout is None:
        return {}
    if layout.kind == "classification":
        return {name: np.flatnonzero(facts.target == k) for k, name in enumerate(layout.classes)}
    if layout.kind == "multi-label":
        return {name: np.flatnonzero(facts.target[:, k] == 1) for k, name in enumerate(layout.classes)}
    labelled = np.flatnonzero(facts.labelled)
    if layout.kind == "segmentation":
        return {"with mask": labelled}
    values = facts.target[labelled]
    return {f"{values.min():g} to {values.max():g}": labelled} if len(labelled) else {}


def label_counts(facts: Facts) -> dict[str, int]:
    """Entries by label as written, for `result.json`."""
    counts = Counter(label for label in facts.label if label)
    return {name: counts[name] for name in sorted(counts, key=natural_key)}
