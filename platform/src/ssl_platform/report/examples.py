"""Items as their domain shows them, with what was predicted: of evaluations, and of a model applied to other data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.report.album import Example
from ssl_platform.report.item_map import device_of, spaced
from ssl_platform.report.markup import number
from ssl_platform.report.overlays import overlay
from ssl_platform.report.pictures import thumbnail
from ssl_platform.report.seen import Seen, sample
from ssl_platform.transfer.dense_evaluation import segment
from ssl_platform.transfer.masks import UNKNOWN, MaskedDomain
from ssl_platform.transfer.metrics import dice, mean_known
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.stored_predictions import Predictions

WRONG, RIGHT = 6, 6
"""Items that are shown: the surest mistakes (without labels the least sure), and some of the others."""
MASKS, SIDE = 5, 192
LARGEST = 64_000_000
"""Cells of an item whose masks are shown, at most."""


def item_examples(seen: Seen, found: Predictions | None) -> list[Example]:
    """Pictures of some items: where labels are known the surest mistakes first.

    Args:
        seen: the items.
        found: what was predicted for them; nothing is shown of None.
    """
    if found is None:
        return []
    facts = seen.data.facts
    several = Counter(facts.id)  # windows of one item share its id
    rows = {name: int(row) for name, row in zip(facts.id, facts.row, strict=True) if several[name] == 1}
    chosen = [i for i in _chosen(found) if found.ids[i] in rows]
    made = []
    for i in chosen:
        row = rows[found.ids[i]]
        try:
            batch, _ = next(seen.windows([row]))
        except (Unreadable, StopIteration):
            continue
        picture = seen.render(*sample(seen.maker.clean(batch), 0))
        made.append(Example(seen.item(row), [("item", thumbnail(picture, SIDE))], *_words(found, i)))
    return made


def _chosen(found: Predictions) -> list[int]:
    """Places of the items that are shown, the surest mistakes (or the least sure) first."""
    everything = np.arange(len(found.ids))
    if found.kind == "multi-label" or (found.kind == "regression" and not found.labelled):
        return _others(everything, WRONG + RIGHT)
    if found.kind == "regression":
        first = np.argsort(-np.abs(found.target - found.score), kind="stable")[:WRONG]
        return [*first.tolist(), *_others(np.setdiff1d(everything, first))]
    sure = found.score.max(axis=1)
    if not found.labelled:
        first = np.argsort(sure, kind="stable")[:WRONG]
        return [*first.tolist(), *_others(np.setdiff1d(everything, first))]
    right = found.score.argmax(axis=1) == found.target
    wrong = np.flatnonzero(~right)
    return [*wrong[np.argsort(-sure[wrong], kind="stable")][:WRONG].tolist(), *_others(np.flatnonzero(right))]


def _others(places: np.ndarray, count: int = RIGHT) -> list[int]:
    return [int(i) for i in spaced(places, count)]


def _words(found: Predictions, i: int) -> tuple[str, str, bool | None, float | None]:
    """True (empty where unknown), predicted, whether they are equal, and how sure it was."""
    if found.kind == "regression":
        return number(float(found.target[i])) if found.labelled else "", number(float(found.score[i])), None, None
    best = int(found.score[i].argmax())
    if found.kind == "multi-label":
        said = [name for name, s in zip(found.classes, found.score[i], strict=True) if s >= 0.5]
        if found.labelled:
            true = [name for name, t in zip(found.classes, found.target[i], strict=True) if t == 1]
            return ", ".join(true) or "none", found.classes[best], None, None
        return "", ", ".join(said) or "none", None, None
    within = bool((found.score >= 0).all() and (found.score <= 1).all())
    sure = float(found.score[i, best]) if within else None
    if not found.labelled:
        return "", found.classes[best], None, sure
    known = int(found.target[i])
    return found.classes[known], found.classes[best], best == known, sure


def mask_examples(
    seen: Seen, model: TransferModel, shown: Mapping[int, str], rows: np.ndarray, masked: MaskedDomain | None
) -> list[Example]:
    """Slices of some items with the prediction on them, beside the reference where masks are known.

    Args:
        seen: the items.
        model: on its device.
        shown: classes that are coloured, by their number.
        rows: of the catalog.
        masked: reads the references; None without any.
    """
    data = seen.data
    channels = data.catalog.channels if data.domain.layout.ragged_channels else ()
    fitting = [r for r in rows.tolist() if np.prod(data.catalog.row(r).shape) <= LARGEST]
    made = []
    for place in spaced(np.array(fitting, dtype=np.int64), MASKS).tolist():
        row = data.catalog.row(place)
        try:
            target = masked.target(row) if masked is not None else None
            found = segment(
                model, seen.maker, data.domain, row, seen.window, device=device_of(model), channels=channels
            )
        except Unreadable:
            continue
        value = float("nan")
        if target is not None:
            value = mean_known([dice(target, found, label, ignore=UNKNOWN) for label in shown])
        pictures = overlay(seen, row, target, found, list(shown))
        small = [(name, thumbnail(picture, SIDE)) for name, picture in pictures]
        made.append(Example(seen.item(place), small, score=None if np.isnan(value) else value))
    return made
