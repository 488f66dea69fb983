"""`embed`: an encoder's vectors of items, windows or tokens, as a table."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.progress import Bar
from ssl_platform.data.sequential import Sequential
from ssl_platform.errors import EncoderError, UsageError
from ssl_platform.transfer.embedding_parts import Parts
from ssl_platform.transfer.embedding_rows import (
    Descriptions,
    RunningMeans,
    place_columns,
    plain,
    valid_tokens,
    window_places,
)
from ssl_platform.transfer.embedding_table import check_out, finish, schema_of
from ssl_platform.transfer.features import covering
from ssl_platform.transfer.opening import Opened, device_of, open_transfer
from ssl_platform.types import Batch, Features, View

LEVELS = ("item", "window", "token")
Block = tuple[np.ndarray, Mapping[str, np.ndarray], np.ndarray]
"""Catalog row `[n]`, places and vector `[n, D]` of rows of the table; an item's follow one another."""


def embed(config: RunConfig, out: Path, level: str = "item") -> dict[str, Any]:
    """Write an encoder's vectors as Parquet, a row an item, a window or a token.

    Columns are `id`, `group`, `split`, `label` (empty where unknown), `vector` and `x`, `y`, its first two principal
    components among all rows; `item` is the mean over the windows that cover an item; `window` adds `start` and `size`
    in cells of the item's grid; `token` adds `coords`, the centre from the item's first cell edge in the layout's unit
    (cells where there is no spacing). Vectors are never held in memory together. Complete items are kept in parts
    beside `out` until the table is whole: the same command goes on where it was killed.

    Args:
        config: names encoder and data; labels are optional.
        out: the file, ending in `.parquet`; replaced in one step.
        level: one of `LEVELS`.

    Returns:
        `{"command", "status", "level", "items", "rows", "dim", "unreadable", "data_id", "paths"}`.

    Raises:
        UsageError: found before anything is computed.
    """
    if level not in LEVELS:
        raise UsageError(f"--level {level}: a row is an item, a window or a token")
    check_out(out)
    opened = open_transfer(config, labels=False)
    if level == "token" and "tokens" not in opened.encoder.model.offers:
        name = opened.encoder.record.backbone.name
        raise EncoderError(f"--level token: the backbone {name} has no tokens; use window or item")
    for line in opened.lines:
        print(line)
    catalog, dim = opened.data.catalog, opened.encoder.model.embed_dim
    facts, about = Descriptions(opened), _about(opened, level)
    windows = covering(catalog, opened.data.domain, np.arange(len(catalog)), opened.window)
    key = {**about, "encoder": _digest(opened.encoder.model), "facts": facts.digest(), "windows": windows}
    key["options"] = opened.data.domain.options.model_dump(mode="json")
    schema = schema_of(dim, place_columns(level, opened.data.domain.layout.rank), about)
    with Parts(out, schema, key) as parts:
        _say_begun(parts, len(catalog))
        ready = {item for items in parts.items.values() for item in items}
        batches = Sequential(
            catalog,
            opened.data.domain,
            window=opened.window,
            batch_size=config.data.batch_size if isinstance(config.data.batch_size, int) else 16,
            windows=windows,
            rows=np.array([row for row, name in enumerate(facts.ids) if name not in ready], dtype=np.int64),
            workers=config.data.workers if isinstance(config.data.workers, int) else 0,
        )
        opened.encoder.to(device_of(config))
        try:
            _fill(parts, facts, batches, _blocks(opened, batches, level))
        except BaseException:
            if parts.items:
                print(f"{parts.count:,} of {len(catalog):,} items are kept in {parts.folder}; the same command goes on")
            raise
        if not parts.items:
            failure = f", e.g. {batches.failures[0].failed}: {batches.failures[0].reason}" if batches.failures else ""
            raise UsageError(f"none of the {len(catalog)} items could be read{failure}")
        with Bar("write", sys.stderr) as bar:
            rows = finish(parts, out, bar)
        items, unread = parts.count, parts.unread | _reasons(batches)
        parts.remove()
    if unread:
        print(f"warning: {len(unread)} items could not be read whole, e.g. {': '.join(next(iter(unread.items())))}")
    said = f"{items:,} items" if level == "item" else f"{rows:,} {level}s of {items:,} items"
    print(f"wrote {out}: {said}, {dim} numbers each")
    return {
        "command": "embed",
        "status": "done",
        "level": level,
        "items": items,
        "rows": rows,
        "dim": dim,
        "unreadable": len(unread),
        "quarantined": len(opened.data.quarantined),
        "data_id": catalog.id,
        "split_id": opened.data.splits.id or None,
        "paths": {"embeddings": str(out)},
    }


def _about(opened: Opened, level: str) -> dict[str, Any]:
    """What the table is of; no path and no name."""
    record = opened.encoder.record
    return {
        "level": level,
        "domain": record.domain,
        "objective": record.objective,
        "step": record.step,
        "backbone": record.backbone.name,
        "window": list(opened.window),
        "unit": record.contract.spacing_unit,
        "data_id": opened.data.catalog.id,
        "split_id": opened.data.splits.id,
    }


def _digest(model: torch.nn.Module) -> str:
    """Hash of a net's weights: 16 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=8)
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _say_begun(parts: Parts, total: int) -> None:
    """What lies there of an earlier call."""
    if parts.damaged:
        print(f"warning: {parts.folder / parts.damaged[0]} was cut off; its items are embedded again")
    if parts.items:
        print(f"going on: {parts.count:,} of {total:,} items are in {parts.folder}")


def _fill(parts: Parts, facts: Descriptions, batches: Sequential, blocks: Iterator[Block]) -> None:
    """Take all rows; a part ends only between two items."""
    current = -1
    for rows, places, vectors in blocks:
        if not len(rows):
            continue
        begins = np.flatnonzero(np.diff(rows, prepend=current))
        current = int(rows[-1])
        columns: dict[str, Any] = {**facts.of(rows), **places}
        if len(begins) and parts.due:
            cut = int(begins[0])
            parts.add(*_cut(columns, vectors, slice(cut)))
            parts.seal(_reasons(batches))
            columns, vectors = _cut(columns, vectors, slice(cut, None))
        parts.add(columns, vectors)
    parts.seal(_reasons(batches))


def _cut(columns: Mapping[str, Any], vectors: np.ndarray, rows: slice) -> tuple[dict[str, Any], np.ndarray]:
    """Some rows of a table."""
    return {name: values[rows] for name, values in columns.items()}, vectors[rows]


def _reasons(batches: Sequential) -> dict[str, str]:
    """Why items could not be read, by id."""
    return {failure.failed: failure.reason for failure in batches.failures}


@torch.inference_mode()
def _passes(opened: Opened, batches: Sequential) -> Iterator[tuple[Batch, View, Features]]:
    for batch in batches:
        view = opened.maker.clean(batch)
        yield batch, view, opened.encoder(view)


def _blocks(opened: Opened, batches: Sequential, level: str) -> Iterator[Block]:
    """Rows of the table in order, as the encoder gives them."""
    means, done = RunningMeans(), 0
    with Bar("embed", sys.stderr) as bar:
        for batch, view, features in _passes(opened, batches):
            rows = batch.index.cpu().numpy()
            if level == "item":
                numbers, vectors = means.add(rows, plain(features.pooled))
                yield numbers, {}, vectors
            elif level == "window":
                yield rows, window_places(opened, batch), plain(features.pooled)
            else:
                yield valid_tokens(rows, view, features)
            done += len(rows)
            bar(done, batches.total)
    if level == "item":
        numbers, vectors = means.rest()
        yield numbers, {}, vectors
