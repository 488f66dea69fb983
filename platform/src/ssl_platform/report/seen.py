"""Data at hand while pictures are made of it, as a model is shown it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.sequential import Sequential
from ssl_platform.opening import OpenData
from ssl_platform.types import Batch, View
from ssl_platform.views.maker import ViewMaker


@dataclass
class Seen:
    """Items of a run, and how its model takes them.

    Attributes:
        config: resolved.
        data: opened.
        maker: of views.
        window: cells read along each axis.
    """

    config: RunConfig
    data: OpenData
    maker: ViewMaker = field(repr=False)
    window: tuple[int, ...]

    def item(self, row: int) -> str:
        """An item's id as the page may show it: salted and hashed where items are people."""
        catalog = self.data.catalog
        name = catalog.row(row).id
        if not self.data.domain.sensitive:
            return name
        key = f"{catalog.id} {self.config.seed}".encode()[:64]
        return blake2b(name.encode(), key=key, digest_size=4).hexdigest()

    def render(self, x: np.ndarray, view: View) -> np.ndarray:
        """A picture of one sample `[C, *size]` (or `[N, C]`) of a view, whose first sample it is."""
        channels = list(view.channels)
        points = self.data.domain.layout.points
        if view.channel_valid is not None and not points:
            real = view.channel_valid[0].cpu().numpy()
            x, channels = x[real], [c for c, r in zip(channels, real, strict=False) if r]
        return self.data.domain.render(x, channels)

    def windows(self, rows: Sequence[int] | np.ndarray, batch_size: int = 16) -> Iterator[tuple[Batch, list[int]]]:
        """Batches of the middle windows of items, and the rows they are of."""
        data, chosen = self.data, np.asarray(rows)
        batches = Sequential(data.catalog, data.domain, window=self.window, batch_size=batch_size, rows=chosen)
        for batch in batches:
            yield batch, [int(chosen[p]) for p in batch.position.tolist()]


def sample(view: View, i: int) -> tuple[np.ndarray, View]:
    """Values of sample `i`, and the view with that sample's channels."""
    channels = None if view.channel_valid is None else view.channel_valid[i : i + 1]
    return view.x[i].float().cpu().numpy(), view.replace(channel_valid=channels)
