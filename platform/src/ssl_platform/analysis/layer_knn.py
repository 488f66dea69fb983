"""What nearest neighbours know at every layer: training items vote on validation items. The test split stays shut."""

from __future__ import annotations

import numpy as np

from ssl_platform.analysis.pooled_layers import PooledLayers
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.transfer.evaluation import labelled
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.intervals import over_groups
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.knn import vote
from ssl_platform.transfer.protocols.splits import Labelled

NEIGHBOURS = 20  # at most a quarter of the bank


def unfit(subject: Subject) -> str | None:
    """Why there is nothing to vote on."""
    if why := subject.unscored():
        return why
    for code, word in ((1, "training"), (2, "validation")):
        if not len(subject.part(code)):
            return f"there are no labelled {word} items"
    return None


class LayerKnn(PooledLayers):
    """The first metric of the task under a kNN vote of every layer, on validation items.

    A layer may be chosen by it, so it never sees a test item. In a cross-validation the rounds are scored together.
    """

    def readings(self) -> list[Reading]:
        """One metric a layer, with its interval over groups."""
        task = self._subject.opened.task
        metric, function = next(iter(metrics_of(task.kind, task.positive_index).items()))
        found = []
        for name, features in self._layers():
            scored = [
                (val.target.numpy(), vote(val.features, bank, task, max(1, min(NEIGHBOURS, len(bank) // 4))), val)
                for bank, val in self._rounds(features)
            ]
            if not scored:
                continue
            target, score = (np.concatenate([one[side] for one in scored]) for side in (0, 1))
            groups = [f"{number}: {g}" for number, (_, _, val) in enumerate(scored) for g in val.groups]
            found.append(Reading.of(f"knn_{metric}", "layer", name, over_groups(function, target, score, groups)))
        return found

    def _rounds(self, features: ItemFeatures) -> list[tuple[Labelled, Labelled]]:
        """Bank and validation items of each round that has both."""
        opened = self._subject.opened
        rounds = []
        for codes in opened.codes:
            train, val = (labelled(opened.data.facts, features, np.flatnonzero(codes == code)) for code in (1, 2))
            if len(train) and len(val):
                rounds.append((train, val))
        return rounds
