"""A linear probe beyond its accuracy: does it know how sure it may be, and what is left of it on changed views?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ssl_platform.analysis.layers import OUTPUT
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import TEST, Subject, evenly
from ssl_platform.analysis.transformed import Transformed
from ssl_platform.errors import RunFailed
from ssl_platform.measures import calibration_error, overconfidence
from ssl_platform.transfer.evaluation import labelled, together
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.forms import embed_forms
from ssl_platform.transfer.metrics import Metric, metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Function
from ssl_platform.transfer.protocols.linear import LinearFit, choose_linear, fit_linear
from ssl_platform.transfer.units import by_unit
from ssl_platform.types import Metric as Estimate
from ssl_platform.views.maker import ViewMaker

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

    The test split is opened by `scores` only, when the heads of all rounds are fixed.

    Args:
        subject: encoder and labelled data.
        whole: whether items are embedded whole, as `probe` does; else the window in the middle of each of at most
            `subject.limit` training and validation items stands for them, so that many views can be afforded.
    """

    def __init__(self, subject: Subject, whole: bool) -> None:
        self.subject, self.whole, opened = subject, whole, subject.opened
        parts = [subject.part(code) if whole else evenly(subject.part(code), subject.limit) for code in (1, 2)]
        features = self._features(np.union1d(*parts), "labelled items", opened.maker)
        self.heads: list[LinearFit] = []
        for codes in opened.codes:
            train, val = (labelled(opened.data.facts, features, np.flatnonzero(codes == code)) for code in (1, 2))
            decay = choose_linear(train, val, opened.task).decay
            known = train if opened.config.labels.limited else train.with_(val)
            self.heads.append(fit_linear(known, opened.task, decay))

    def scores(self, rows: np.ndarray, title: str, changed: Transformed | None = None) -> list[Answer]:
        """What the head of each round says of its test items.

        Args:
            rows: catalog rows of test items, ascending.
            title: of the progress bar.
            changed: makes the views; None: clean ones.
        """
        opened = self.subject.opened
        features = self._features(rows, title, changed or opened.maker)
        answers = []
        for codes, head in zip(opened.codes, self.heads, strict=True):
            test = labelled(opened.data.facts, features, np.flatnonzero(codes == TEST))
            if len(test):
                answer = Answer(test.target.numpy(), head(test.features), test.groups, test.ids)
                answers.append(by_unit(answer, opened.config.labels.unit))
        return answers

    def _features(self, rows: np.ndarray, title: str, maker: ViewMaker) -> ItemFeatures:
        subject = self.subject
        if self.whole:
            own = replace(subject.opened, maker=maker)
            return embed_forms(own, subject.encoder, {"item"}, rows, f"{subject.name}: {title}")["item"]
        read: list[torch.Tensor] = []
        found: list[torch.Tensor] = []
        for batch in subject.batches(rows, title):
            read.append(batch.index.cpu())
            found.append(subject.encoder(maker.clean(batch)).pooled.float().cpu())
        if not found:
            raise RunFailed(f"no item could be read: {next(iter(subject.opened.unread.values()), 'there are none')}")
        return ItemFeatures(torch.cat(found), torch.cat(read).numpy(), "center")


def calibrate(subject: Subject) -> list[Reading]:
    """Expected calibration error and overconfidence of the linear probe on the test items, beside its first metric."""
    task, bins = subject.opened.task, subject.opened.config.analyze.bins
    metric, function = next(iter(metrics_of(task.kind, task.positive_index).items()))
    answers = Probe(subject, whole=True).scores(subject.part(TEST), "test items")
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
    """The probe's first metric on test items under each transformation and strength.

    The probe learnt from clean views of the window in the middle of each item, and is asked about such windows. `lost`
    is the difference to the same windows clean.
    """
    opened, probe = subject.opened, Probe(subject, whole=False)
    rows = evenly(subject.part(TEST), subject.limit)
    name, function = next(iter(metrics_of(opened.task.kind, opened.task.positive_index).items()))
    clean = _value(probe.scores(rows, "test items"), name, function)
    found = [Reading.of(f"linear_{name}", "corruption", "clean", clean)]
    for change in subject.changes:
        for strength in opened.config.analyze.strengths:
            at = f"{change} x{strength:g}"
            value = _value(probe.scores(rows, at, Transformed(opened, change, strength)), name, function)
            found.append(Reading.of(f"linear_{name}", "corruption", at, value))
            found.append(Reading.of("lost", "corruption", at, clean.value - value.value))
    return found


def _value(answers: Sequence[Answer], name: str, function: Metric) -> Estimate:
    return together(answers, {name: function}).metrics[name]
