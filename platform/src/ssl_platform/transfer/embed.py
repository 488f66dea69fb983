"""`embed`: an encoder's vectors of items, windows or tokens, as a table."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.progress import Bar
from ssl_platform.data.sequential import Sequential
from ssl_platform.errors import EncoderError, UsageError
from ssl_platform.transfer.embedding_table import EmbeddingTable, check_out, writing
from ssl_platform.transfer.features import covering
from ssl_platform.transfer.opening import Opened, device_of, open_transfer
from ssl_platform.types import Batch, Features, View

LEVELS = ("item", "window", "token")
_PARTS = {0: "", 1: "train", 2: "val", 3: "test"}


def embed(config: RunConfig, out: Path, level: str = "item") -> dict[str, Any]:
    """Write an encoder's vectors as Parquet, a row an item, a window or a token.

    Columns are `id`, `group`, `split`, `label` (empty where unknown) and `vector`; `item` is the mean over the windows
    that cover an item and adds `x`, `y`, its first two principal components; `window` adds `start` and `size` in cells
    of the item's grid; `token` adds `coords`, the centre from the item's first cell edge in the layout's unit (cells
    where there is no spacing). Memory does not grow with the number of items.

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
    opened.encoder.to(device_of(config))
    catalog, window = opened.data.catalog, opened.window
    batches = Sequential(
        catalog,
        opened.data.domain,
        window=window,
        batch_size=config.data.batch_size if isinstance(config.data.batch_size, int) else 16,
        windows=covering(catalog, opened.data.domain, np.arange(len(catalog)), window),
        workers=config.data.workers if isinstance(config.data.workers, int) else 0,
    )
    rank, dim = opened.data.domain.layout.rank, opened.encoder.model.embed_dim
    facts = Descriptions(opened)
    with writing(out, dim, _places(level, rank), _about(opened, level), level == "item") as table:
        with Bar("embed", sys.stderr) as bar:
            items = _embed(opened, batches, level, table, facts, bar)
        if not items:
            failure = f", e.g. {batches.failures[0].failed}: {batches.failures[0].reason}" if batches.failures else ""
            raise UsageError(f"none of the {len(catalog)} items could be read{failure}")
    unreadable = len({failure.failed for failure in batches.failures})
    if unreadable:
        first = batches.failures[0]
        print(f"warning: {unreadable} items could not be read whole, e.g. {first.failed}: {first.reason}")
    rows = f"{items:,} items" if level == "item" else f"{table.rows:,} {level}s of {items:,} items"
    print(f"wrote {out}: {rows}, {dim} numbers each")
    return {
        "command": "embed",
        "status": "done",
        "level": level,
        "items": items,
        "rows": table.rows,
        "dim": dim,
        "unreadable": unreadable,
        "quarantined": len(opened.data.quarantined),
        "data_id": catalog.id,
        "split_id": opened.data.splits.id or None,
        "paths": {"embeddings": str(out)},
    }


class Descriptions:
    """What is known of each catalog row, as text.

    Args:
        opened: the data. Groups of sensitive domains are hashed with the data's id, alike in every table of that data.
    """

    def __init__(self, opened: Opened) -> None:
        data = opened.data
        self.ids = data.catalog.column("id")
        groups = [group or "" for group in data.catalog.column("group")]
        if data.domain.sensitive:
            salt = data.catalog.id.encode()
            groups = [g and hashlib.blake2b(g.encode(), key=salt, digest_size=8).hexdigest() for g in groups]
        self.groups = groups
        self.labels, self.splits = [""] * len(self.ids), [""] * len(self.ids)
        part = _part_names(opened.codes)
        for entry, row in enumerate(data.facts.row.tolist()):
            whole = data.facts.window[entry] is None  # a label of a window is none of its item's
            self.labels[row], self.splits[row] = data.facts.label[entry] if whole else "", part[entry]

    def of(self, rows: np.ndarray) -> dict[str, Sequence[str]]:
        """The columns of some catalog rows."""
        columns = {"id": self.ids, "group": self.groups, "split": self.splits, "label": self.labels}
        return {name: [values[i] for i in rows.tolist()] for name, values in columns.items()}


def _part_names(codes: np.ndarray) -> list[str]:
    """The part of each entry; in a cross-validation the round that tests it."""
    if len(codes) == 1:
        return [_PARTS[int(code)] for code in codes[0]]
    tested = codes == 3
    return [f"fold {int(at) + 1}" if any_ else "" for at, any_ in zip(tested.argmax(0), tested.any(0), strict=True)]


def _places(level: str, rank: int) -> dict[str, pa.DataType]:
    if level == "window":
        return {"start": pa.list_(pa.int32(), rank), "size": pa.list_(pa.int32(), rank)}
    return {"coords": pa.list_(pa.float32(), rank)} if level == "token" else {}


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


def _embed(
    opened: Opened, batches: Sequential, level: str, table: EmbeddingTable, facts: Descriptions, bar: Bar
) -> int:
    """Fill the table; how many items are in it."""
    done, items, last = 0, 0, -1
    means = RunningMeans()
    for batch, view, features in _passes(opened, batches):
        rows = batch.index.cpu().numpy()
        done += len(rows)
        bar(done, batches.total)
        if level == "item":
            finished, vectors = means.add(rows, _array(features.pooled))
            table.add(facts.of(finished), vectors)
            continue
        items += int((np.diff(rows, prepend=last) != 0).sum())
        last = int(rows[-1])
        if level == "window":
            table.add({**facts.of(rows), **_window_places(opened, batch)}, _array(features.pooled))
        else:
            _add_tokens(table, facts, rows, view, features)
    if level == "item":
        finished, vectors = means.rest()
        if len(finished):
            table.add(facts.of(finished), vectors)
        return table.rows
    return items


@torch.inference_mode()
def _passes(opened: Opened, batches: Sequential) -> Iterator[tuple[Batch, View, Features]]:
    for batch in batches:
        view = opened.maker.clean(batch)
        yield batch, view, opened.encoder(view)


class RunningMeans:
    """Means of rows with one number that follow one another, handed over as soon as a number is complete."""

    def __init__(self) -> None:
        self._row, self._count = -1, 0
        self._sum: np.ndarray | None = None

    def add(self, rows: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take `[n]` numbers and `[n, D]` vectors; numbers `[m]` that are complete and their means `[m, D]`."""
        starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
        sums = np.add.reduceat(vectors, starts, axis=0)
        counts = np.diff(starts, append=len(rows))
        numbers = rows[starts]
        if self._sum is not None and numbers[0] == self._row:
            sums[0] += self._sum
            counts[0] += self._count
        elif self._sum is not None:
            numbers = np.concatenate([[self._row], numbers])
            sums, counts = np.concatenate([self._sum[None], sums]), np.concatenate([[self._count], counts])
        self._row, self._count, self._sum = int(numbers[-1]), int(counts[-1]), sums[-1].copy()
        return numbers[:-1], sums[:-1] / counts[:-1, None].astype(np.float32)

    def rest(self) -> tuple[np.ndarray, np.ndarray]:
        """The last number and its mean, if there is one."""
        if self._sum is None:
            return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
        return np.array([self._row]), (self._sum / np.float32(self._count))[None]


def _window_places(opened: Opened, batch: Batch) -> Mapping[str, np.ndarray]:
    """First cell and size of each window; point sets lie anywhere and count points."""
    part = batch.reads[0]["main"]
    rank = opened.data.domain.layout.rank
    start = (part.origin / part.spacing).round().int().cpu().numpy()
    size = np.array(opened.window if len(opened.window) == rank else (0,) * rank, np.int32)
    return {"start": start, "size": np.broadcast_to(size, (len(batch), rank))}


def _add_tokens(table: EmbeddingTable, facts: Descriptions, rows: np.ndarray, view: View, features: Features) -> None:
    """The valid tokens of each window, at their place in the item."""
    assert features.tokens is not None and features.coords is not None
    coords = features.coords.float()
    if view.geometry is not None:
        coords = view.geometry.to_source(coords.to(view.geometry.matrix.device))
    kept = np.ones(features.tokens.shape[:2], bool) if features.valid is None else features.valid.cpu().numpy()
    owners = np.broadcast_to(rows[:, None], kept.shape)[kept]
    table.add({**facts.of(owners), "coords": _array(coords)[kept]}, _array(features.tokens)[kept])


def _array(values: torch.Tensor) -> np.ndarray:
    found: np.ndarray = values.float().cpu().numpy()
    return found
