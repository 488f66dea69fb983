"""Which items are looked at: evenly chosen, and none of a held-out test split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssl_platform.analysis.layer_knn import LayerKnn
from ssl_platform.analysis.layers import LayerOutput
from ssl_platform.analysis.subject import Subject, evenly
from ssl_platform.configure import configure
from ssl_platform.transfer.opening import open_transfer


def test_evenly() -> None:
    assert evenly(np.arange(5), 8).tolist() == [0, 1, 2, 3, 4]
    found = evenly(np.arange(100), 5)
    assert found.tolist() == [0, 25, 50, 74, 99]


def test_the_test_split_is_not_looked_at(toy_encoder: Callable[..., Path], toy_data: Path) -> None:
    """Neither by passes over clean views nor by the vote that may choose a layer."""
    parts = ["train", "train", "train", "train", "val", "val", "test", "test"]
    lines = toy_data.read_text().splitlines()
    split = [f"{lines[0]},split", *(f"{line},{part}" for line, part in zip(lines[1:], parts, strict=True))]
    toy_data.write_text("\n".join(split) + "\n")
    config = configure("analyze", encoder=str(toy_encoder()), manifest=str(toy_data))
    subject = Subject.of("a", open_transfer(config, labels=None))
    facts, codes = subject.opened.data.facts, subject.opened.codes
    test = set(facts.row[codes[0] == 3].tolist())
    assert len(test) == 2 and not test & set(subject.rows.tolist())
    assert not test & set(subject.transformed_rows().tolist())

    import torch

    rows = np.arange(8)
    vote = LayerKnn(subject)
    vote.add(rows, {"output": LayerOutput(torch.randn(8, 4), None, None, None)})
    before = vote.readings()
    tested = codes[0] == 3
    facts.target[tested] = 1 - facts.target[tested]
    assert vote.readings() == before
