"""Retrieval against torchmetrics, query by query."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_hit_rate

from ssl_platform.transfer.protocols.answer import Budget
from ssl_platform.transfer.protocols.retrieval import retrieval
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task


def items(count: int, first: int, several: bool, draw: torch.Generator) -> Labelled:
    features = torch.randn(count, 6, generator=draw)
    target = torch.randint(0, 4, (count,), generator=draw)
    if several:
        target = (torch.rand(count, 5, generator=draw) < 0.2).float()
        target[0] = torch.nan
    names = [str(first + i) for i in range(count)]
    return Labelled(features, target, [f"g{int(n) % 9}" for n in names], names)


@pytest.mark.parametrize("several", [False, True])
def test_every_query_as_torchmetrics_without_its_own_group(several: bool) -> None:
    draw = torch.Generator().manual_seed(3)
    train, val, test = (items(count, first, several, draw) for count, first in ((30, 0), (12, 30), (25, 42)))
    task = Task("multi-label", tuple("abcde")) if several else Task("classification", tuple("abcd"))
    found = retrieval(Splits(train, val, test), task, Budget(recall=(1, 4)))
    gallery = train.with_(val).with_(test)
    centre = train.with_(val).features.mean(0)
    asked = 0
    for i in range(len(test)):
        kept = [j for j in range(len(gallery)) if gallery.groups[j] != test.groups[i]]
        near = F.cosine_similarity(test.features[i] - centre, gallery.features[kept] - centre)
        near = near + 2  # torchmetrics takes scores that are not positive for misses
        if several:
            wanted = torch.tensor([bool(((test.target[i] == 1) & (gallery.target[j] == 1)).any()) for j in kept])
        else:
            wanted = gallery.target[kept] == test.target[i]
        if not wanted.any():
            assert np.isnan(found.score[i]).all()
            continue
        asked += 1
        assert found.score[i, 0] == pytest.approx(float(retrieval_average_precision(near, wanted)), abs=1e-6)
        for column, k in ((1, 1), (2, 4)):
            assert found.score[i, column] == float(retrieval_hit_rate(near, wanted, top_k=k))
    assert found.details["queries"] == asked < len(test) if several else asked == len(test)
    assert found.functions["map"](found.target, found.score) == pytest.approx(np.nanmean(found.score[:, 0]))
