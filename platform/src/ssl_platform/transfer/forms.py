"""The forms in which protocols ask for frozen features.

`item` is a vector an item, `windows` a bag of its windows', `tokens` a bag of tokens, `layers` candidates of several
blocks side by side, `views` the item's vector followed by those of augmented views.
"""

from __future__ import annotations

import sys
from collections.abc import Set
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ssl_platform.data.progress import Bar
from ssl_platform.data.sequential import Sequential, Windows
from ssl_platform.encoder import Encoder
from ssl_platform.plan import Plan
from ssl_platform.transfer.features import ItemFeatures, covering, item_features, window_features
from ssl_platform.transfer.layers import Layers
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.types import Features
from ssl_platform.views.maker import ViewMaker

FORMS = ("item", "windows", "tokens", "layers", "views")
MOST_TOKENS = 1024  # of an item; more are thinned evenly


def embed_forms(
    opened: Opened, encoder: Encoder, forms: Set[str], rows: np.ndarray, title: str
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
    if forms & {"item", "views"} and "windows" in found and windows == "grid":
        bags = found["windows"]
        found["item"] = ItemFeatures(bags.values.nanmean(dim=1), bags.rows, "grid", bags.failures)
    elif forms & {"item", "views"}:
        with Bar(title, sys.stderr) as bar:
            found["item"] = item_features(encoder, opened.maker, catalog, domain, opened.window, rows, progress=bar)
    if "layers" in forms:
        found["layers"] = layer_features(opened, encoder, rows, f"{title}, layers")
    if "views" in forms:
        found["views"] = view_features(opened, encoder, found["item"], f"{title}, views")
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


def layer_features(opened: Opened, encoder: Encoder, rows: np.ndarray, title: str) -> ItemFeatures:
    """Candidates of `probe.layers` and `probe.pooling`, each the mean over the windows of an item: `[n, M]`.

    Raises:
        ConfigError: there is no such block.
    """
    own = opened.config.probe
    layers = Layers(encoder, own.layers, own.pooling)
    with Bar(title, sys.stderr) as bar:
        found = item_features(
            encoder,
            opened.maker,
            opened.data.catalog,
            opened.data.domain,
            opened.window,
            rows,
            progress=bar,
            taps=layers.taps,
            vectors=layers,
        )
    return replace(found, parts=layers.parts)


@torch.inference_mode()
def view_features(opened: Opened, encoder: Encoder, items: ItemFeatures, title: str) -> ItemFeatures:
    """`[n, 1 + V, D]`: the vector of each item, then those of `probe.views` augmented views of its central window.

    Views are those of the domain's pretraining. Items whose central window cannot be read again are left out.
    """
    count, domain = opened.config.probe.views, opened.data.domain
    if not count or not len(items.rows):
        return replace(items, values=items.values[:, None])
    maker = ViewMaker(
        domain.layout,
        Plan.augmented(count),
        opened.config.views,
        tuple(domain.views()),
        opened.config.seed,
        window=opened.window,
        size_multiple=encoder.record.backbone.patch,
    )
    batches = Sequential(opened.data.catalog, domain, window=maker.read_size, batch_size=8, rows=items.rows)
    found: dict[int, Tensor] = {}
    with Bar(title, sys.stderr) as bar:
        for batch in batches:
            vectors = torch.stack([encoder(view).pooled.float().cpu() for view in maker(batch)], dim=1)
            found |= zip(batch.index.tolist(), vectors, strict=True)
            bar(len(found), batches.total)
    kept = [i for i, row in enumerate(items.rows.tolist()) if row in found]
    views = [found[int(items.rows[i])] for i in kept]
    beside = torch.stack(views) if views else items.values.new_zeros(0, count, items.values.shape[1])
    values = torch.cat([items.values[kept, None], beside], dim=1)
    return ItemFeatures(values, items.rows[kept], items.windows, [*items.failures, *batches.failures])


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
