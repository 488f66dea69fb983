"""What a finetuning run trains on and how: its items, and every `auto` of `finetune.*`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.facts import Facts
from ssl_platform.errors import ConfigError, LabelError
from ssl_platform.schedules import resolve_duration
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.training import Recipe

PASSES, FEWEST, MOST = 50, 200, 5000
_CELLS = 2**22  # of a batch
_MOST_BATCH = {"segmentation": 8}
_LR = {"full": 5e-4, "frozen": 2e-3, "lora": 2e-3, "bitfit": 2e-3}
_DECODER_LR = 1e-3  # a decoder is deeper than a linear head and starts from nothing


@dataclass(frozen=True)
class Parts:
    """Labelled entries of one round.

    Attributes:
        facts: of the data.
        train, validation, test: positions in `facts`.
        workers: reader processes.
        lines: what was decided, for the user.
    """

    facts: Facts
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    workers: int = 0
    lines: list[str] = field(default_factory=list)

    def rows(self, entries: np.ndarray) -> np.ndarray:
        """Their catalog rows, ascending, each once."""
        return np.unique(self.facts.row[entries])


def choose_parts(opened: Opened) -> Parts:
    """The labelled entries of the round `finetune.fold`.

    Raises:
        ConfigError: there is no such round.
        LabelError: no labelled items to train or to test on.
    """
    config, facts, codes = opened.config, opened.data.facts, opened.codes
    fold, lines = int(config.finetune.fold), []
    if fold > len(codes):
        raise ConfigError(f"finetune.fold={fold}: the split has {len(codes)} round(s)")
    if len(codes) > 1:
        lines.append(f"finetune: round {fold} of {len(codes)} of the cross-validation (finetune.fold chooses another)")
    labelled = facts.labelled
    train, validation, test = (np.flatnonzero((codes[fold - 1] == code) & labelled) for code in (1, 2, 3))
    for name, entries in (("train", train), ("test", test)):
        if not len(entries):
            raise LabelError(f"no labelled {name} items: label more, or give a split column")
    lines += _check_classes(opened, train, test, fold)
    if not len(validation):
        lines.append("finetune: no validation items, so the weights of the last step are kept")
    return Parts(facts, train, validation, test, reader_processes(config), lines)


def _check_classes(opened: Opened, train: np.ndarray, test: np.ndarray, fold: int) -> list[str]:
    """Lines about classes that the drawn training labels lack.

    Whole items of a class that is tested and not trained are refused with the split; masks are looked at here, where it
    is known which of them are read.

    Raises:
        LabelError: all training items are of one class, or a class of the test masks is in no mask of the train part.
    """
    facts, layout = opened.data.facts, opened.data.facts.layout
    assert layout is not None
    if layout.kind == "classification" and len(np.unique(facts.target[train])) < 2:
        only = layout.classes[int(facts.target[train[0]])]
        raise LabelError(
            f"all {len(train)} training items are of class {only!r}: a model needs two classes to tell apart"
        )
    if layout.kind != "segmentation" or not facts.values or opened.config.labels.unseen == "allow":
        return []
    part = np.flatnonzero(opened.data.splits.codes[fold - 1] == 1)
    drawn, whole = (frozenset().union(*(facts.values[i] for i in entries)) for entries in (train, part))
    lines = []
    for value, name in zip(layout.values, layout.classes, strict=True):
        has = [int(i) for i in test if value in facts.values[i]]
        if has and value not in whole:
            raise LabelError(
                f"class {name!r} is in the mask of the test item {facts.id[has[0]]!r} and in no training mask: drop "
                "the class, or give a split column (labels.unseen=allow leaves it as it is)"
            )
        if has and value not in drawn:
            lines.append(f"labels: class {name!r} is in none of the {len(train)} training masks drawn")
    return lines


def recipe_of(
    config: RunConfig, parts: Parts, window: Sequence[int], kind: str, *, scratch: bool
) -> tuple[Recipe, int, list[str]]:
    """Resolve `finetune.*`.

    Args:
        config: resolved in place.
        parts: what is trained on.
        window: cells of a view along each axis.
        kind: of the task.
        scratch: whether the encoder's weights are random.

    Returns:
        The recipe, windows a step, and lines for the user.
    """
    own, lines = config.finetune, []

    def settle(key: str, value: float, why: str) -> None:
        if getattr(own, key) == "auto":
            config.resolve(f"finetune.{key}", value, why)
            lines.append(f"finetune.{key}={value:g} ({why})")

    items = len(parts.rows(parts.train))
    most = min(_MOST_BATCH.get(kind, 32), max(2, _CELLS // math.prod(window)), max(2, items))
    settle("batch_size", most, f"{items} items, windows of {'x'.join(map(str, window))}")
    batch = int(own.batch_size)
    windows = items * config.data.windows_per_item
    epoch = max(1, -(-windows // batch))
    steps = min(MOST, max(FEWEST, PASSES * epoch))
    settle("steps", steps, f"{steps * batch / windows:.0f} passes over {windows} windows")
    total = int(own.steps)
    settle(
        "lr", max(_LR[own.mode], _DECODER_LR if kind == "segmentation" else 0.0), f"finetune.mode={own.mode}, {kind}"
    )
    if scratch or own.mode in ("lora", "bitfit"):
        settle("layer_decay", 1.0, "random weights" if scratch else f"finetune.mode={own.mode}")
    else:
        settle("layer_decay", 0.75, "pretrained weights")
    settle("eval_every", max(1, total // 10), "ten validations")
    return (
        Recipe(
            steps=total,
            lr=float(own.lr),
            weight_decay=own.weight_decay,
            layer_decay=float(own.layer_decay),
            warmup=resolve_duration(own.warmup, total, epoch),
            clip=own.clip,
            eval_every=int(own.eval_every),
            precision=_precision(config),
            seed=config.seed,
        ),
        batch,
        lines,
    )


def _precision(config: RunConfig) -> str:
    wanted = config.trainer.precision
    usable = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16" if usable and wanted in ("auto", "bf16-mixed") else "32"


def reader_processes(config: RunConfig) -> int:
    """Reader processes: as asked, else none on the CPU, where they would take what the model needs."""
    if config.data.workers != "auto":
        return int(config.data.workers)
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(0, granted - 2)) if torch.cuda.is_available() else 0
