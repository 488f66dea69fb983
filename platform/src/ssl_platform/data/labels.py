"""Facts about items: what tables, masks, names and files say, joined to the catalog and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data import groups, tasks
from ssl_platform.data.box import Box, box_text, parse_box, parse_time
from ssl_platform.data.claims import Claims
from ssl_platform.data.facts import DomainRules, Facts
from ssl_platform.data.mask_paths import resolve_masks
from ssl_platform.data.matching import Matcher, match
from ssl_platform.data.names import counted, nearest
from ssl_platform.data.sources import claims_of_source, parse_source
from ssl_platform.errors import LabelError
from ssl_platform.types import Row

SPLITS = ("train", "val", "test")
_SPLIT_WORDS = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}


@dataclass
class _Entries:
    """Entries under construction: an item, or one window of it, each."""

    row: list[int]
    window: list[Box | None]
    of_row: list[list[int]]
    columns: dict[str, list[str]] = field(default_factory=dict)
    told: dict[str, list[tuple[Claims, int] | None]] = field(default_factory=dict)


def resolve(
    rows: Sequence[Row],
    config: LabelsConfig,
    *,
    manifest: Claims | None = None,
    roots: Sequence[str] = (),
    domain: DomainRules | None = None,
    task: str | None = None,
) -> Facts:
    """Join all facts to the rows of the catalog.

    Args:
        rows: the catalog.
        config: `labels.*`.
        manifest: what the manifest says (`manifest.read_manifest(..).claims`), or None.
        roots: the `--data` arguments.
        domain: supplies file endings and the rule for groups.
        task: `--task`; labels decide without it.

    Returns:
        One entry an item without windows, in catalog order; one a window where a table has windows.

    Raises:
        LabelError: labels match nothing, contradict each other, or make no clear task.
        DataError: a table, a column, a value or a mask cannot be used.
    """
    suffixes = tuple(domain.suffixes) if domain is not None else ()
    # A manifest may be joined to several catalogs in turn: before and after what does not fit is left out.
    sources = [] if manifest is None else [replace(manifest, row=None, notes=list(manifest.notes))]
    if config.source is not None:
        sources.append(claims_of_source(parse_source(config.source), rows, config, suffixes))
    matcher = Matcher(rows, roots, suffixes)
    unmatched = [name for claims in sources for name in match(claims, matcher, config.allow_unmatched)]
    for claims in sources:
        resolve_masks(claims, roots)
    layout = getattr(domain, "layout", None)
    entries = _make_entries(rows, sources, layout is not None and layout.time_axis is not None)
    for claims in sources:
        _fill(rows, entries, claims)
    return _facts(rows, entries, sources, config, domain, task, unmatched)


def _make_entries(rows: Sequence[Row], sources: Sequence[Claims], timed: bool) -> _Entries:
    """One entry an item, or one for each of its windows in order of appearance; `timed` items take `t0:t1`."""
    windows: dict[int, dict[Box, None]] = {}
    for claims in sources:
        assert claims.row is not None
        for k, text in enumerate(claims.columns.get("window", ())):
            i = int(claims.row[k])
            if text and i >= 0:
                box = parse_box(text, claims.where(k))
                rank = len(rows[i].shape)
                if len(box) != rank and not (timed and len(box) == 1):
                    raise LabelError(
                        f"{claims.where(k)}: window {text!r} has {counted(len(box), 'axis', 'axes')} "
                        f"and {rows[i].id!r} has {rank}"
                    )
                windows.setdefault(i, {})[box] = None
    made = _Entries([], [], [])
    for i in range(len(rows)):
        own: list[Box | None] = list(windows[i]) if i in windows else [None]
        made.of_row.append(list(range(len(made.row), len(made.row) + len(own))))
        made.row.extend([i] * len(own))
        made.window.extend(own)
    return made


def _fill(rows: Sequence[Row], entries: _Entries, claims: Claims) -> None:
    """Write what one source says into the entries it speaks of."""
    assert claims.row is not None
    texts = claims.columns.get("window")
    targets: list[Sequence[int]] = []
    for k, i in enumerate(claims.row.tolist()):
        own = entries.of_row[i] if i >= 0 else ()
        if texts is not None and texts[k] and own:
            box = parse_box(texts[k], claims.where(k))
            own = [entry for entry in own if entries.window[entry] == box]
        targets.append(own)
    columns = {f"label {name}": values for name, values in claims.labels.items()}
    columns |= {name: values for name, values in claims.columns.items() if name != "window"}
    columns |= {f"meta {name}": values for name, values in claims.meta.items()}
    for name, values in columns.items():
        column = entries.columns.setdefault(name, [""] * len(entries.row))
        told = entries.told.setdefault(name, [None] * len(entries.row))
        for k, value in enumerate(values):
            if not value:
                continue
            for entry in targets[k]:
                if column[entry] and column[entry] != value:
                    _contradiction(rows, entries, name, entry, (claims, k, value))
                column[entry] = value
                told[entry] = (claims, k)


def _contradiction(
    rows: Sequence[Row], entries: _Entries, name: str, entry: int, second: tuple[Claims, int, str]
) -> None:
    """Raise unless the column is a free one, where the later source wins."""
    if name.startswith("meta "):
        return
    claims, k, value = second
    first = entries.told[name][entry]
    assert first is not None
    what = name.partition(" ")[0]
    window = entries.window[entry]
    raise LabelError(
        f"{rows[entries.row[entry]].id!r} has two {what}s, {entries.columns[name][entry]!r} "
        f"({first[0].where(first[1])}) and {value!r} ({claims.where(k)}), and "
        + (f"one window {box_text(window)}: keep one" if window else "no window: keep one, or give each its window")
    )


def _facts(
    rows: Sequence[Row],
    entries: _Entries,
    sources: Sequence[Claims],
    config: LabelsConfig,
    domain: DomainRules | None,
    task: str | None,
    unmatched: Sequence[str],
) -> Facts:
    """Read the filled columns."""
    count = len(entries.row)
    blank = [""] * count
    columns = entries.columns
    labels = {name.partition(" ")[2]: values for name, values in columns.items() if name.startswith("label ")}
    mask = columns.get("mask", blank)
    origin = next((c.origin for c in reversed(sources) if c.labels or "mask" in c.columns), "labels")
    layout = tasks.infer(
        labels,
        any(mask),
        origin=origin,
        task=task,
        positive=config.positive,
        names={value: name for claims in sources for value, name in claims.classes.items()},
    )
    given = columns.get("group")
    grouping = groups.assign(rows, entries.row, given, config, domain)
    notes = [note for claims in sources for note in claims.notes]
    split = _splits(entries, notes)
    notes += [layout.line()] if layout is not None else ["labels: none"] if sources else []
    notes += grouping.notes
    spoken = {int(i) for claims in sources if claims.row is not None for i in claims.row}
    silent = tuple(row.id for i, row in enumerate(rows) if i not in spoken) if sources else ()
    if unmatched or silent:
        fact = "mask" if layout is not None and layout.kind == "segmentation" else "row"
        without = f"{counted(len(unmatched), fact)} without an item, {counted(len(silent), 'item')} without a {fact}"
        notes.append(f"labels: {without}")
    ids = columns.get("id", blank)
    return Facts(
        row=np.array(entries.row, dtype=np.int64),
        id=tuple(name or rows[i].id for name, i in zip(ids, entries.row, strict=True)),
        label=_as_written(labels, layout, count),
        target=tasks.encode(layout, labels, count),
        mask=tuple(mask),
        group=tuple(grouping.names),
        split=split,
        fold=_folds(entries),
        window=tuple(entries.window),
        pair=tuple(columns.get("pair", blank)),
        time=_times(entries),
        meta={name.removeprefix("meta "): tuple(v) for name, v in columns.items() if name.startswith("meta ")},
        layout=layout,
        group_rule=grouping.rule,
        unmatched_labels=tuple(unmatched),
        unmatched_items=silent,
        notes=tuple(notes),
    )


def _as_written(labels: dict[str, list[str]], layout: tasks.LabelLayout | None, count: int) -> tuple[str, ...]:
    """The label column; several 0/1 columns become `a|b`, with a closing `|` that keeps single names multi-label."""
    if not labels or layout is None or layout.kind == "segmentation":
        return ("",) * count
    if len(labels) == 1:
        values = next(iter(labels.values()))
        return tuple(
            tasks.class_name(v) if layout.kind == "classification" and v not in layout.classes else v for v in values
        )
    target = tasks.encode(layout, labels, count)
    return tuple(
        ""
        if np.isnan(row).all()
        else "|".join([name for name, x in zip(layout.classes, row, strict=True) if x == 1]) + "|"
        for row in target
    )


def _told_at(entries: _Entries, name: str, entry: int) -> str:
    told = entries.told[name][entry]
    assert told is not None
    return told[0].where(told[1])


def _splits(entries: _Entries, notes: list[str]) -> tuple[str, ...]:
    """The split column in our words."""
    values = entries.columns.get("split", [""] * len(entries.row))
    words = {value: _SPLIT_WORDS.get(value.casefold(), value.casefold()) for value in set(values) if value}
    for value, word in sorted(words.items()):
        if word not in SPLITS:
            entry = values.index(value)
            raise LabelError(
                f"{_told_at(entries, 'split', entry)}: split {value!r} is not train, val or test{nearest(word, SPLITS)}"
            )
        if word != value:
            notes.append(f"labels: split {value!r} read as {word!r}")
    return tuple(words.get(value, "") for value in values)


def _folds(entries: _Entries) -> np.ndarray:
    """The fold column as integers."""
    fold = np.full(len(entries.row), -1, dtype=np.int64)
    for entry, value in enumerate(entries.columns.get("fold", ())):
        if value:
            text = tasks.class_name(value)
            if not text.isdigit():
                raise LabelError(f"{_told_at(entries, 'fold', entry)}: fold {value!r} is not a whole number from 0 up")
            fold[entry] = int(text)
    return fold


def _times(entries: _Entries) -> np.ndarray:
    """The time column as seconds."""
    time = np.full(len(entries.row), np.nan)
    for entry, value in enumerate(entries.columns.get("time", ())):
        if value:
            time[entry] = parse_time(value, _told_at(entries, "time", entry))
    return time
