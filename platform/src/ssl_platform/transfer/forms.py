"""The forms in which protocols ask for frozen features: a vector an item, a bag of its windows', a bag of tokens."""

from __future__ import annotations

import sys
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn

from ssl_platform.data.progress import Bar
from ssl_platform.data.sequential import Sequential, Windows
from ssl_platform.encoder import Encoder
from ssl_platform.transfer.features import ItemFeatures, covering, item_features, window_features
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.types import Features

FORMS = ("item", "windows", "tokens")
MOST_TOKENS = 1024  # of an item; more are thinned evenly


def embed_forms(
    opened: Opened, encoder: Encoder, forms: Collection[str], rows: np.ndarray, title: str
) -> dict[str, ItemFeatures]:
    """Features of items, by form.

    Args:
        opened: the data; items that cannot be read are added to `opened.unread`.
        encoder: is moved to the device.
        forms: some of `FORMS`.
        rows: catalog rows, ascending.
        title: of the progress bar.
    """
    encoder.to(device_of(opened.config))
    catalog, domain = opened.data.catalog, opened.data.domain
    windows = covering(catalog, domain, rows, opened.window)
    found: dict[str, ItemFeatures] = {}
    if "windows" in forms:
        found["windows"] = bag_features(opened, encoder, rows, "windows", "grid", title)
    if "tokens" in forms:
        found["tokens"] = bag_features(opened, encoder, rows, "tokens", windows, title)
    if "item" in forms and "windows" in found and windows == "grid":
        bags = found["windows"]
        found["item"] = ItemFeatures(bags.values.nanmean(dim=1), bags.rows, "grid", bags.failures)
    elif "item" in forms:
        with Bar(title, sys.stderr) as bar:
            found["item"] = item_features(encoder, opened.maker, catalog, domain, opened.window, rows, progress=bar)
    for features in found.values():
        opened.unread |= {failure.failed: failure.reason for failure in features.failures}
    return found


def bag_features(
    opened: Opened, encoder: Encoder, rows: np.ndarray, form: str, windows: Windows, title: str
) -> ItemFeatures:
    """Embed the windows that stand for each item, kept apart.

    Args:
        opened: the data.
        encoder: on the device to compute on.
        rows: catalog rows, ascending.
        form: `windows` for a vector a window, `tokens` for those of all its tokens, at most `MOST_TOKENS` an item.
        windows: which windows stand for an item.
        title: of the progress bar.

    Returns:
        `values` is `[n, K, D]` for the largest bag K, nan beyond an item's own.
    """
    catalog, domain = opened.data.catalog, opened.data.domain
    batches = Sequential(catalog, domain, window=opened.window, batch_size=16, windows=windows, rows=rows)
    parts: dict[int, list[Tensor]] = {}
    done = 0
    with Bar(title, sys.stderr) as bar:
        for batch, features in window_features(encoder, opened.maker, batches):
            for row, vectors in zip(batch.index.tolist(), _vectors(features, form), strict=True):
                parts.setdefault(row, []).append(vectors)
            done += len(batch)
            bar(done, batches.total)
    read = np.array(sorted(parts), dtype=np.int64)
    if not parts:
        return ItemFeatures(torch.zeros(0, 0, encoder.model.embed_dim), read, windows, list(batches.failures))
    bags = [
        _thinned(torch.cat(parts.pop(int(row)))) if form == "tokens" else torch.cat(parts[int(row)]) for row in read
    ]
    padded = nn.utils.rnn.pad_sequence(bags, batch_first=True, padding_value=torch.nan)
    return ItemFeatures(padded, read, windows, list(batches.failures))


def _vectors(features: Features, form: str) -> list[Tensor]:
    """`[k, D]` vectors of each window of a batch."""
    if form == "windows":
        return list(features.pooled.float().cpu()[:, None])
    assert features.tokens is not None
    tokens = features.tokens.float().cpu()
    valid = None if features.valid is None else features.valid.cpu()
    return [own if valid is None else own[valid[i]] for i, own in enumerate(tokens)]


def _thinned(tokens: Tensor) -> Tensor:
    """At most `MOST_TOKENS` of `[n, D]`, evenly chosen."""
    if len(tokens) <= MOST_TOKENS:
        return tokens
    return tokens[torch.linspace(0, len(tokens) - 1, MOST_TOKENS).round().long()]
