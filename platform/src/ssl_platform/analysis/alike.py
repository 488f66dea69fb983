"""Do encoders see items alike? CKA of the layers of each pair, in one pass over the same items."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_platform.analysis.layers import OUTPUT, layer_outputs, taps_of
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.errors import DataError
from ssl_platform.measures import MinibatchCKA

BLOCK = 64


@dataclass(frozen=True)
class Pair:
    """CKA of two encoders.

    Attributes:
        first, second: their names.
        layers: names of the layers of each.
        values: `[layers of the first, layers of the second]`; nan where a layer is constant.
        items: items it was taken on.
    """

    first: str
    second: str
    layers: tuple[tuple[str, ...], tuple[str, ...]]
    values: Tensor
    items: int

    def readings(self) -> list[Reading]:
        """The outputs, and layers of equal name; `parts` hold the whole matrix."""
        rows, columns = self.layers
        whole = [[None if v != v else v for v in row] for row in self.values.tolist()]
        found = []
        for name in (*(n for n in rows if n in columns and n != OUTPUT), OUTPUT):
            value = float(self.values[rows.index(name), columns.index(name)])
            parts = {"matrix": whole, "rows": rows, "columns": columns} if name == OUTPUT else {}
            found.append(Reading.of("cka", "pair", name, value, **parts))
        return found


def check_same(subjects: Sequence[Subject]) -> None:
    """Refuse encoders that do not see the same items.

    Raises:
        DataError: their options let other items through.
    """
    ids = [subject.opened.data.catalog.column("id") for subject in subjects]
    for subject, own in zip(subjects, ids, strict=True):
        if own != ids[0]:
            other = next((a for a, b in itertools.zip_longest(own, ids[0]) if a != b), None)
            raise DataError(
                f"{subjects[0].name} and {subject.name} see other items of this data ({len(ids[0])} and {len(own)}, "
                f"e.g. {other}): analyse them apart, or give data.* keys that suit both"
            )


def compare(subjects: Sequence[Subject], pairs: Sequence[tuple[int, int]]) -> list[Pair]:
    """CKA of some pairs.

    Args:
        subjects: encoders; all see the items of the first one's `rows`, each through windows of its own.
        pairs: positions in `subjects`.
    """
    sums: dict[tuple[int, int], MinibatchCKA] = {}
    names: dict[int, tuple[str, ...]] = {}
    for outputs in _together(subjects):
        for pair in pairs:
            first, second = (outputs[number] for number in pair)
            if pair not in sums:
                sums[pair] = MinibatchCKA(len(first), len(second), BLOCK)
                names |= {pair[0]: tuple(first), pair[1]: tuple(second)}
            sums[pair].add(list(first.values()), list(second.values()))
    return [
        Pair(subjects[a].name, subjects[b].name, (names[a], names[b]), sums[a, b].value(), sums[a, b].items)
        for a, b in pairs
        if (a, b) in sums
    ]


def _together(subjects: Sequence[Subject]) -> Iterator[list[dict[str, Tensor]]]:
    """Pooled outputs `[B, D]` of every layer of every encoder for the items that all of them could read."""
    rows = subjects[0].rows
    readers = {id(s.opened): s for s in reversed(subjects)}  # encoders of one kind share what is read
    numbers = {key: number for number, key in enumerate(readers)}
    passes = [s.views(rows, None if number else "layers of each other") for number, s in enumerate(readers.values())]
    for step in zip(*passes, strict=True):
        index = [batch.index.cpu() for batch, _ in step]
        common = index[0]
        for other in index[1:]:
            common = common[torch.isin(common, other)]
        if not len(common):
            continue
        outputs = []
        for subject in subjects:
            number = numbers[id(subject.opened)]
            view = step[number][1]
            layers = layer_outputs(subject.encoder.model, view, subject.encoder(view, taps_of(subject.encoder.model)))
            kept = torch.isin(index[number], common)
            outputs.append({name: layer.pooled.cpu()[kept] for name, layer in layers.items()})
        yield outputs
