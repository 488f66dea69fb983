"""The rounds of a cross-validation: fine-tuned and tested one by one, scored together; a stop costs one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.train.atomic import write_text
from ssl_platform.transfer.dense_evaluation import dense_answer
from ssl_platform.transfer.evaluation import Outcome, together
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.protocols.answer import Answer
from ssl_platform.transfer.savepoint import check_same
from ssl_platform.transfer.task import Task

OUTCOME = "outcome.json"


def rounds_of(opened: Opened) -> list[int]:
    """The rounds `finetune.fold` asks for, counted from 1."""
    fold = opened.config.finetune.fold
    return list(range(1, len(opened.codes) + 1)) if fold == "all" else [int(fold)]


def of_round(opened: Opened, number: int) -> Opened:
    """The same data for one round; what is settled for its training is not settled for the others."""
    config = opened.config
    own = config.finetune.model_copy(update={"fold": number})
    return replace(opened, config=config.model_copy(update={"finetune": own}))


def pooled(outcomes: Sequence[Outcome], task: Task) -> Outcome:
    """The test items of all rounds together: metrics of all of them, intervals over all their groups.

    Args:
        outcomes: of rounds; each item is tested in one.
        task: decides the metrics.

    Returns:
        `details` holds what was chosen, a mapping a round.
    """
    details = [known for outcome in outcomes for known in outcome.details]
    if outcomes[0].columns:
        items = [dict(zip(o.columns, figures, strict=True)) for o in outcomes for figures in o.score.tolist()]
        ids, groups = ([name for o in outcomes for name in getattr(o, which)] for which in ("ids", "groups"))
        found = together([dense_answer(items, groups, ids)], {})
    else:
        answers = [Answer(o.target, o.score, list(o.groups), list(o.ids)) for o in outcomes]
        found = together(answers, metrics_of(task.kind, task.positive_index))
    return replace(found, details=details)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Steps in all, mean losses and speed of the rounds, and under `rounds` what is known of each with its metrics."""
    rounds = [
        {**outcome.details[0], "metrics": {name: metric.value for name, metric in outcome.metrics.items()}}
        for outcome in outcomes
    ]
    return {
        "fold": "all",
        "steps": sum(known["steps"] for known in rounds),
        "loss": {end: float(np.mean([known["loss"][end] for known in rounds])) for end in ("first", "last")},
        "samples_per_second": float(np.mean([known["samples_per_second"] for known in rounds])),
        "rounds": rounds,
    }


def made_with(opened: Opened) -> dict[str, Any]:
    """What a round's outcome depends on: a stopped run is continued only where all of it is the same."""
    config, record = opened.config, opened.encoder.record
    return {
        "encoder": f"{config.encoder} step {record.step}",
        "data": opened.data.catalog.id,
        "split": opened.data.splits.id,
        "task": [opened.task.kind, *opened.task.classes],
        "data.window": list(opened.window),
        "seed": config.seed,
        **{f"labels.{key}": value for key, value in config.labels.model_dump(mode="json").items()},
        **{f"views.{key}": value for key, value in config.views.model_dump(mode="json").items()},
        **{f"finetune.{key}": value for key, value in config.finetune.model_dump(mode="json").items()},
    }


def write_outcome(
    folder: Path, outcome: Outcome, made: Mapping[str, Any], unread: Mapping[str, str] | None = None
) -> None:
    """Write `outcome.json` of a finished round.

    Args:
        folder: of the round.
        outcome: of its test items.
        made: what it was made with.
        unread: why an item could not be read, by id, in this round or one before it.
    """
    stored = {
        "made_with": dict(made),
        "target": [str(outcome.target.dtype), list(outcome.target.shape), outcome.target.ravel().tolist()],
        "score": [str(outcome.score.dtype), list(outcome.score.shape), outcome.score.ravel().tolist()],
        "ids": outcome.ids,
        "groups": outcome.groups,
        "columns": list(outcome.columns),
        "details": outcome.details,
        "unread": dict(unread or {}),
    }
    write_text(folder / OUTCOME, json.dumps(stored, default=float) + "\n")


def read_outcome(
    folder: Path, task: Task, made: Mapping[str, Any], unread: dict[str, str] | None = None
) -> Outcome | None:
    """The outcome of a round that was finished before, or None.

    Args:
        folder: of the round.
        task: decides the metrics.
        made: what it must have been made with.
        unread: gets the items that could not be read then: they are in no metric, now as then.

    Raises:
        UsageError: it was made with something else.
    """
    path = folder / OUTCOME
    if not path.exists():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    check_same(folder, stored["made_with"], made)
    if unread is not None:
        unread |= stored.get("unread", {})
    target, score = (np.array(v, dtype=kind).reshape(shape) for kind, shape, v in (stored["target"], stored["score"]))
    found = Outcome({}, target, score, stored["ids"], stored["details"], stored["groups"], {}, tuple(stored["columns"]))
    return pooled([found], task)
