"""A linear probe beyond its accuracy: does it know how sure it may be, and what is left of it on changed views?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from ssl_platform.analysis.layers import OUTPUT
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import TEST, Subject, evenly
from ssl_platform.analysis.transformed import Transformed
from ssl_platform.measures import calibration_error, overconfidence
from ssl_platform.transfer.evaluation import labelled, together
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.metrics import Metric, metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Function
from ssl_platform.transfer.protocols.linear import LinearFit, choose_linear, fit_linear
from ssl_platform.transfer.units import by_unit
from ssl_platform.types import Metric as Estimate
from ssl_platform.views.maker import ViewMaker

CLEAN = "clean"
Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def unfit(subject: Subject) -> str | None:
    """Why nothing can be probed."""
    if why := subject.unscored():
        return why
    for codes in subject.opened.codes:
        for code, word in ((1, "training"), (TEST, "test")):
            if not ((codes == code) & subject.opened.data.facts.labelled).any():
                return f"there are no labelled {word} items"
    return None


def unfit_for_confidence(subject: Subject) -> str | None:
    """Why a probe has no confidence."""
    if why := unfit(subject):
        return why
    return "numbers are predicted without a confidence" if subject.opened.task.kind == "regression" else None


def unfit_for_changes(subject: Subject) -> str | None:
    """Why a probe cannot be tested on changed views."""
    return unfit(subject) or (None if subject.changes else "no operation or symmetry of the domain changes this data")


class Probe:
    """The linear probe of `ssl-platform probe --protocol linear`, kept to be asked about other views.

    The window in the middle stands for each item, so that many views can be afforded. The test split is opened by
    `scores` only, when the heads of all rounds are fixed.

    Args:
        subject: encoder and labelled data, of which at most `subject.limit` training and validation items are taken.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, opened = subject, subject.opened
        parts = [evenly(subject.part(code), subject.limit) for code in (1, 2)]
        features = self._features(np.union1d(*parts), "labelled items", {CLEAN: opened.maker})[CLEAN]
        self.heads: list[LinearFit] = []
        for codes in opened.codes:
            train, val = (labelled(opened.data.facts, features, np.flatnonzero(codes == code)) for code in (1, 2))
            decay = choose_linear(train, val, opened.task).decay
            known = train if opened.config.labels.limited else train.with_(val)
            self.heads.append(fit_linear(known, opened.task, decay))

    def scores(self, rows: np.ndarray, title: str, makers: Mapping[str, ViewMaker]) -> dict[str, list[Answer]]:
        """What the head of each round says of its test items, by the views it is asked about; items are read once.

        Args:
            rows: catalog rows of test items, ascending.
            title: of the progress bar.
            makers: of clean views, by name.
        """
        opened = self.subject.opened
        found: dict[str, list[Answer]] = {}
        for name, features in self._features(rows, title, makers).items():
            found[name] = []
            for codes, head in zip(opened.codes, self.heads, strict=True):
                test = labelled(opened.data.facts, features, np.flatnonzero(codes == TEST))
                if len(test):
                    answer = Answer(test.target.numpy(), head(test.features), test.groups, test.ids)
                    found[name].append(by_unit(answer, opened.config.labels.unit))
        return found

    def _features(self, rows: np.ndarray, title: str, makers: Mapping[str, ViewMaker]) -> dict[str, ItemFeatures]:
        subject = self.subject
        read: list[torch.Tensor] = []
        found: dict[str, list[torch.Tensor]] = {name: [] for name in makers}
        for batch in subject.batches(rows, title):
            read.append(batch.index.cpu())
            for name, maker in makers.items():
                found[name].append(subject.encoder(maker.clean(batch)).pooled.float().cpu())
        index = torch.cat(read).numpy()
        return {name: ItemFeatures(torch.cat(parts), index, "center") for name, parts in found.items()}


def calibrate(subject: Subject) -> list[Reading]:
    """Expected calibration error and overconfidence of the linear probe on at most `subject.limit` test items, beside
    its first metric.
    """
    task, bins = subject.opened.task, subject.opened.config.analyze.bins
    rows = evenly(subject.part(TEST), subject.limit)
    metric, function = next(iter(metrics_of(task.kind, task.positive_index).items()))
    answers = Probe(subject).scores(rows, "test items", {CLEAN: subject.opened.maker})[CLEAN]
    functions: dict[str, Function] = {
        f"linear_{metric}": function,
        "calibration_error": partial(_confident, partial(calibration_error, bins=bins)),
        "overconfidence": partial(_confident, overconfidence),
    }
    found = together(answers, functions).metrics
    return [Reading.of(name, "output", OUTPUT, value) for name, value in found.items()]


def _confident(measure: Measure, target: np.ndarray, score: np.ndarray) -> float:
    """A measure of confidence: of the class that is said, or of every label by itself."""
    if target.ndim == 2:
        known = ~np.isnan(target)
        confidence, correct = score[known], target[known] == 1
    else:
        confidence, correct = score.max(axis=1), score.argmax(axis=1) == target
    return float(measure(torch.from_numpy(confidence), torch.from_numpy(correct)))


def withstand(subject: Subject) -> list[Reading]:
    """The probe's first metric on at most `analyze.transformed` test items under each transformation and strength.

    The probe learnt from clean views. `lost` is the difference to the same windows clean.
    """
    opened, probe = subject.opened, Probe(subject)
    rows = evenly(subject.part(TEST), opened.config.analyze.transformed)
    name, function = next(iter(metrics_of(opened.task.kind, opened.task.positive_index).items()))
    makers: dict[str, ViewMaker] = {CLEAN: opened.maker}
    for change in subject.changes:
        for strength in opened.config.analyze.strengths:
            makers[f"{change} x{strength:g}"] = Transformed(opened, change, strength)
    answers = probe.scores(rows, "test items, changed views", makers)
    values = {at: _value(answers[at], name, function) for at in makers}
    found = [Reading.of(f"linear_{name}", "corruption", CLEAN, values[CLEAN])]
    for at in list(makers)[1:]:
        found.append(Reading.of(f"linear_{name}", "corruption", at, values[at]))
        found.append(Reading.of("lost", "corruption", at, values[CLEAN].value - values[at].value))
    return found


def _value(answers: Sequence[Answer], name: str, function: Metric) -> Estimate:
    return together(answers, {name: function}).metrics[name]
