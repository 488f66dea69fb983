"""What a model says about every cell of an item, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ssl_platform.data.collate import collate, to_device
from ssl_platform.domain import Domain
from ssl_platform.transfer.masks import UNKNOWN
from ssl_platform.transfer.metrics import dice
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.protocols.answer import Answer, Function, mean_of_column
from ssl_platform.transfer.sliding_window import sliding_window
from ssl_platform.types import Row, Sample, Window
from ssl_platform.views.maker import ViewMaker

BOTH, EITHER = "cells_both_", "cells_either_"


def segment(
    model: TransferModel,
    maker: ViewMaker,
    domain: Domain,
    row: Row,
    window: Sequence[int],
    *,
    device: torch.device,
    channels: Sequence[str] = (),
    overlap: float = 0.5,
    batch_size: int = 4,
) -> np.ndarray:
    """`[*row.shape]` int16 classes of one item, from overlapping windows.

    Args:
        model: on the device, in evaluation mode.
        maker: makes clean views.
        domain: reads the item.
        row: the item.
        window: cells read along each axis.
        device: where the model is.
        channels: of the whole catalog, where channel sets are ragged.
        overlap: of neighbouring windows.
        batch_size: windows at once.

    Raises:
        Unreadable: the item cannot be read.
    """

    def logits(windows: list[Window]) -> Tensor:
        samples = [Sample(0, ({"main": domain.read(row, w)["main"]},)) for w in windows]
        for sample in samples:
            sample.meta = dict.fromkeys(domain.layout.meta, float("nan"))
        batch = to_device(collate(samples, domain.layout, channels), device)
        found: Tensor = model(maker.clean(batch, size=tuple(window)))
        return found

    if domain.layout.points:
        windows = [replace(w, key=0) for w in domain.cover(row, window)]
        return points_together(logits, windows, row.shape[0], model.task.outputs, batch_size)
    found = sliding_window(logits, row.shape, window, model.task.outputs, overlap, batch_size)
    return found.argmax(axis=0).astype(np.int16)


@torch.inference_mode()
def points_together(
    logits: Callable[[list[Window]], Tensor], windows: list[Window], count: int, classes: int, batch: int
) -> np.ndarray:
    """`[count]` int16 classes of the points of an item: the mean of the probabilities of the windows that hold them.

    Args:
        logits: reads some windows and returns `[b, classes, points]` logits; what lies beyond the item is left out.
        windows: ranges of points that cover the item.
        count: points of the item.
        classes: channels of the logits.
        batch: windows at once.
    """
    total = np.zeros((classes, count), np.float32)
    for first in range(0, len(windows), batch):
        chosen = windows[first : first + batch]
        for window, found in zip(chosen, logits(chosen).float().softmax(dim=1).cpu().numpy(), strict=True):
            low, high = max(0, window.start[0]), min(count, window.start[0] + window.size[0])
            total[:, low:high] += found[:, low - window.start[0] : high - window.start[0]]
    return total.argmax(axis=0).astype(np.int16)


def foreground(classes: Sequence[str], values: Sequence[int], points: bool = False) -> dict[int, str]:
    """The classes that are scored, by number: of grids all but the one whose mask value is 0, of point sets all."""
    return {n: name for n, (name, value) in enumerate(zip(classes, values, strict=True)) if points or value != 0}


def item_metrics(
    domain: Domain | None,
    target: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    classes: Mapping[int, str],
) -> dict[str, float]:
    """What is measured of one item; nan where not defined.

    Args:
        domain: None for the core's metrics alone.
        target: `[*shape]` classes, `UNKNOWN` where a cell counts nowhere.
        prediction: `[*shape]` classes.
        spacing: physical size of a cell.
        classes: the classes to score, by number.

    Returns:
        `dice`, the mean over classes, and `dice_CLASS` of each where there are several; what the domain measures
        besides; `cells_both_CLASS` and `cells_either_CLASS`, of which `dense_answer` makes intersection over union.
    """
    each = {name: dice(target, prediction, number, ignore=UNKNOWN) for number, name in classes.items()}
    known = [value for value in each.values() if not np.isnan(value)]
    found = {"dice": float(np.mean(known)) if known else float("nan")}
    found |= {f"dice_{name}": value for name, value in each.items()} if len(each) > 1 else {}
    if domain is not None:
        found |= domain.dense_metrics(target, prediction, spacing or (1.0,) * target.ndim, classes)
    counted = target != UNKNOWN
    for number, name in classes.items():
        a, b = (target == number) & counted, (prediction == number) & counted
        found[f"{BOTH}{name}"], found[f"{EITHER}{name}"] = float((a & b).sum()), float((a | b).sum())
    return found


def dense_answer(items: Sequence[Mapping[str, float]], groups: Sequence[str], ids: Sequence[str]) -> Answer:
    """Metrics of items together: means of what each was measured, and intersection over union of all cells.

    `miou` is the mean over the scored classes of the cells of all items where target and prediction agree, over those
    where either has the class (the figure of semantic segmentation); `iou_CLASS` is that of one class.

    Args:
        items: from `item_metrics`.
        groups, ids: of the items.
    """
    columns = tuple(dict.fromkeys(name for item in items for name in item))
    score = np.array([[item.get(name, np.nan) for name in columns] for item in items], dtype=np.float64)
    functions = {n: mean_of_column(i) for i, n in enumerate(columns) if not n.startswith((BOTH, EITHER))}
    pairs = {
        name.removeprefix(BOTH): (i, columns.index(EITHER + name.removeprefix(BOTH)))
        for i, name in enumerate(columns)
        if name.startswith(BOTH)
    }
    functions["miou"] = pooled_overlap(list(pairs.values()))
    if len(pairs) > 1:
        functions |= {f"iou_{name}": pooled_overlap([pair]) for name, pair in pairs.items()}
    return Answer(np.zeros((len(items), 0)), score, list(groups), list(ids), functions=functions, columns=columns)


def pooled_overlap(pairs: Sequence[tuple[int, int]]) -> Function:
    """Mean over classes of the ratio of two column sums of `score [n, M]`; classes that occur nowhere are left out.

    Args:
        pairs: columns of cells in both and in either of target and prediction, a class each.
    """

    def overlap(_: np.ndarray, score: np.ndarray) -> float:
        both, either = (np.nansum(score[:, [pair[end] for pair in pairs]], axis=0) for end in (0, 1))
        return float((both[either > 0] / either[either > 0]).mean()) if (either > 0).any() else float("nan")

    return overlap
