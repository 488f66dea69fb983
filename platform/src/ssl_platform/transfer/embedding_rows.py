"""Rows of an embedding table: what is known of an item, means over its windows, where a window or a token lies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from ssl_platform.transfer.opening import Opened
from ssl_platform.types import Batch, Features, View

_PARTS = {0: "", 1: "train", 2: "val", 3: "test"}


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

    def digest(self) -> str:
        """Hash of all of it: 16 hexadecimal digits."""
        found = hashlib.blake2b(digest_size=8)
        for facts in zip(self.ids, self.groups, self.splits, self.labels, strict=True):
            found.update("\0".join(facts).encode() + b"\n")
        return found.hexdigest()


def _part_names(codes: np.ndarray) -> list[str]:
    """The part of each entry; in a cross-validation the round that tests it."""
    if len(codes) == 1:
        return [_PARTS[int(code)] for code in codes[0]]
    tested = codes == 3
    return [f"fold {int(at) + 1}" if any_ else "" for at, any_ in zip(tested.argmax(0), tested.any(0), strict=True)]


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


def place_columns(level: str, rank: int) -> dict[str, pa.DataType]:
    """Columns that say where in its item a row of `level` lies, with their types."""
    if level == "window":
        return {"start": pa.list_(pa.int32(), rank), "size": pa.list_(pa.int32(), rank)}
    return {"coords": pa.list_(pa.float32(), rank)} if level == "token" else {}


def window_places(opened: Opened, batch: Batch) -> Mapping[str, np.ndarray]:
    """First cell and size of each window; point sets lie anywhere and count points."""
    part = batch.reads[0]["main"]
    rank = opened.data.domain.layout.rank
    start = (part.origin / part.spacing).round().int().cpu().numpy()
    size = np.array(opened.window if len(opened.window) == rank else (0,) * rank, np.int32)
    return {"start": start, "size": np.broadcast_to(size, (len(batch), rank))}


def valid_tokens(
    rows: np.ndarray, view: View, features: Features
) -> tuple[np.ndarray, Mapping[str, np.ndarray], np.ndarray]:
    """Row number `[n]`, place in the item and vector `[n, D]` of the valid tokens of each window."""
    assert features.tokens is not None and features.coords is not None
    coords = features.coords.float()
    if view.geometry is not None:
        coords = view.geometry.to_source(coords.to(view.geometry.matrix.device))
    kept = np.ones(features.tokens.shape[:2], bool) if features.valid is None else features.valid.cpu().numpy()
    owners = np.broadcast_to(rows[:, None], kept.shape)[kept]
    return owners, {"coords": plain(coords)[kept]}, plain(features.tokens)[kept]


def plain(values: torch.Tensor) -> np.ndarray:
    """A tensor as float32 in memory."""
    found: np.ndarray = values.float().cpu().numpy()
    return found
