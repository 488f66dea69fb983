"""What a model says about every cell of an item, and how good that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ssl_platform.data.collate import collate, to_device
from ssl_platform.domain import Domain
from ssl_platform.transfer.intervals import mean_over_groups
from ssl_platform.transfer.masks import UNKNOWN
from ssl_platform.transfer.metrics import dice
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.sliding_window import sliding_window
from ssl_platform.types import Metric, Row, Sample, Window
from ssl_platform.views.maker import ViewMaker


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

    found = sliding_window(logits, row.shape, window, model.task.outputs, overlap, batch_size)
    return found.argmax(axis=0).astype(np.int16)


def foreground(classes: Sequence[str], values: Sequence[int]) -> dict[int, str]:
    """The classes that are scored, by number: all but the one whose mask value is 0."""
    return {n: name for n, (name, value) in enumerate(zip(classes, values, strict=True)) if value != 0}


def item_metrics(
    domain: Domain | None,
    target: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    classes: Mapping[int, str],
) -> dict[str, float]:
    """Dice of every class and their mean, and what the domain measures besides; nan where not defined.

    Args:
        domain: None for Dice alone.
        target: `[*shape]` classes, `UNKNOWN` where a cell counts nowhere.
        prediction: `[*shape]` classes.
        spacing: physical size of a cell.
        classes: the classes to score, by number.
    """
    each = {name: dice(target, prediction, number, ignore=UNKNOWN) for number, name in classes.items()}
    known = [value for value in each.values() if not np.isnan(value)]
    found = {"dice": float(np.mean(known)) if known else float("nan")}
    found |= {f"dice_{name}": value for name, value in each.items()} if len(each) > 1 else {}
    if domain is not None:
        found |= domain.dense_metrics(target, prediction, spacing or (1.0,) * target.ndim, classes)
    return found


def mean_metrics(items: Sequence[Mapping[str, float]], groups: Sequence[str]) -> dict[str, Metric]:
    """Means over items of their metrics, with intervals over groups; items a metric is not defined for are left out."""
    names = dict.fromkeys(name for item in items for name in item)
    return {
        name: mean_over_groups(np.array([item.get(name, np.nan) for item in items], dtype=np.float64), groups)
        for name in names
    }
