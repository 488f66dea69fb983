"""One vector an item: the mean of an encoder's pooled features over the windows that cover it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.reader import Substitute
from ssl_platform.data.sequential import Sequential, Windows
from ssl_platform.domain import Domain
from ssl_platform.encoder import Encoder
from ssl_platform.types import Batch, Features
from ssl_platform.views.maker import ViewMaker

MOST_WINDOWS = 64  # of an item on average; beyond it only the central window is embedded


@dataclass
class ItemFeatures:
    """Features of some catalog rows.

    Attributes:
        values: `[n, D]` float32, or `[n, K, D]` bags with nan beyond an item's own (`transfer.forms`).
        rows: `[n]` catalog rows that could be read, ascending.
        windows: how items were covered.
        failures: items that could not be read.
        parts: columns of each candidate by name, of features that are several side by side (`layers`).
    """

    values: Tensor
    rows: np.ndarray
    windows: Windows
    failures: list[Substitute] = field(default_factory=list)
    parts: Mapping[str, slice] = field(default_factory=dict)


def covering(catalog: Catalog, domain: Domain, rows: Sequence[int] | np.ndarray, window: Sequence[int]) -> Windows:
    """`grid` (all windows of `Domain.cover`) unless those would be more than `MOST_WINDOWS` an item."""
    total = sum(len(domain.cover(catalog.row(int(i)), tuple(window))) for i in rows)
    return "grid" if total <= MOST_WINDOWS * max(1, len(rows)) else "center"


@torch.inference_mode()
def window_features(
    encoder: Encoder, maker: ViewMaker, batches: Sequential, taps: Sequence[str] = ()
) -> Iterator[tuple[Batch, Features]]:
    """Features of every window of a pass, batch by batch, with the intermediate outputs named."""
    for batch in batches:
        yield batch, encoder(maker.clean(batch), taps)


def pooled(features: Features) -> Tensor:
    """`[B, D]` the vector an encoder gives a window."""
    return features.pooled


def item_features(
    encoder: Encoder,
    maker: ViewMaker,
    catalog: Catalog,
    domain: Domain,
    window: Sequence[int],
    rows: np.ndarray,
    *,
    batch_size: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    taps: Sequence[str] = (),
    vectors: Callable[[Features], Tensor] = pooled,
) -> ItemFeatures:
    """Embed items.

    Args:
        encoder: on the device to compute on.
        maker: makes clean views.
        catalog, domain: the items.
        window: cells read along each axis.
        rows: catalog rows, ascending.
        batch_size: windows at once.
        workers: reader processes.
        progress: called with windows done and in all.
        taps: intermediate outputs that `vectors` needs.
        vectors: `[B, D]` of the features of a batch of windows.
    """
    windows = covering(catalog, domain, rows, window)
    batches = Sequential(
        catalog, domain, window=window, batch_size=batch_size, windows=windows, rows=rows, workers=workers
    )
    place = np.full(len(catalog), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    total: Tensor | None = None
    count = torch.zeros(len(rows))
    done = 0
    for batch, features in window_features(encoder, maker, batches, taps):
        found = vectors(features).float().cpu()
        if total is None:
            total = torch.zeros(len(rows), found.shape[1])
        at = torch.from_numpy(place[batch.index.cpu().numpy()])
        total.index_add_(0, at, found)
        count.index_add_(0, at, torch.ones(len(at)))
        done += len(at)
        if progress is not None:
            progress(done, batches.total)
    if total is None:
        return ItemFeatures(torch.zeros(0, encoder.model.embed_dim), rows[:0], windows, list(batches.failures))
    read = count > 0
    return ItemFeatures(total[read] / count[read, None], rows[read.numpy()], windows, list(batches.failures))
