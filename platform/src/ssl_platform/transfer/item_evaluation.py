"""What a model says about whole items: the mean of its predictions over the windows that cover them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.collate import to_device
from ssl_platform.data.reader import Substitute
from ssl_platform.data.sequential import Sequential
from ssl_platform.domain import Domain
from ssl_platform.transfer.features import covering
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.probabilities import probabilities
from ssl_platform.views.maker import ViewMaker


@dataclass
class ItemPredictions:
    """Predictions of some catalog rows.

    Attributes:
        rows: `[n]` catalog rows that could be read, ascending.
        score: `[n, K]` probabilities, or `[n]` values for regression.
        failures: items that could not be read.
    """

    rows: np.ndarray
    score: np.ndarray
    failures: list[Substitute] = field(default_factory=list)


@torch.inference_mode()
def item_predictions(
    model: TransferModel,
    maker: ViewMaker,
    catalog: Catalog,
    domain: Domain,
    window: Sequence[int],
    rows: np.ndarray,
    *,
    device: torch.device,
    batch_size: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ItemPredictions:
    """Predict items.

    Args:
        model: on the device, in evaluation mode.
        maker: makes clean views.
        catalog, domain: the items.
        window: cells read along each axis.
        rows: catalog rows, ascending.
        device: where the model is.
        batch_size: windows at once.
        workers: reader processes.
        progress: called with windows done and in all.
    """
    batches = Sequential(
        catalog,
        domain,
        window=window,
        batch_size=batch_size,
        windows=covering(catalog, domain, rows, window),
        rows=rows,
        workers=workers,
    )
    place = np.full(len(catalog), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    total = torch.zeros(len(rows), model.task.outputs, dtype=torch.float64)
    count = torch.zeros(len(rows), dtype=torch.float64)
    done = 0
    for batch in batches:
        view = maker.clean(to_device(batch, device), size=tuple(window))
        found = probabilities(model.task.kind, model(view).float()).double().cpu()
        at = torch.from_numpy(place[batch.index.cpu().numpy()])
        total.index_add_(0, at, found)
        count.index_add_(0, at, torch.ones(len(at), dtype=torch.float64))
        done += len(at)
        if progress is not None:
            progress(done, batches.total)
    read = (count > 0).numpy()
    score = (total / count.clamp_min(1)[:, None]).numpy()[read]
    if model.task.kind == "regression":
        score = score[:, 0]
    return ItemPredictions(rows[read], score, list(batches.failures))
