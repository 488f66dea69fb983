"""`finetune`: from an encoder to a model for a task, scored once on the test items."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.loader import Loader
from ssl_platform.data.progress import Bar
from ssl_platform.encoder import Encoder
from ssl_platform.encoder_record import training_record
from ssl_platform.errors import UsageError
from ssl_platform.plan import Plan
from ssl_platform.train.metrics import MetricsFile
from ssl_platform.train.run import RunFolder
from ssl_platform.transfer import rounds
from ssl_platform.transfer.evaluation import Outcome, as_result, line_of
from ssl_platform.transfer.fitting import Parts, choose_parts, recipe_of
from ssl_platform.transfer.head_start import start_at_probe
from ssl_platform.transfer.model import WEIGHTS, LinearHead, ModelRecord, TransferModel, write_model
from ssl_platform.transfer.opening import Opened, device_of, open_transfer
from ssl_platform.transfer.probe import write_predictions
from ssl_platform.transfer.running import running
from ssl_platform.transfer.scoring import Scorer
from ssl_platform.transfer.training import train
from ssl_platform.views.maker import ViewMaker

Say = Callable[[str], None]
Keep = Callable[[TransferModel, ModelRecord], None]
LogRow = Callable[[Mapping[str, float | int | str | None]], None]


def finetune(config: RunConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train a model for a task from an encoder, or one in every round of a cross-validation (`finetune.fold=all`).

    Args:
        config: names encoder, data and labels; `finetune.*` says how.
        resume: take the rounds that an earlier run finished in the same folder as they are.

    Returns:
        What `result.json` holds; metrics are named `finetune/metric` and taken once, on the test items.

    Raises:
        UsageError: found before the first step.
        RunFailed: after it.
    """
    opened = open_transfer(config)
    if config.finetune.fold == "all" and len(opened.codes) == 1:
        config.resolve("finetune.fold", 1, "the split is no cross-validation")
    several = config.finetune.fold == "all"
    if resume and (config.run is None or not several):
        raise UsageError("--resume goes on with the rounds of finetune.fold=all in the folder --run DIR, nothing else")
    for number in rounds.rounds_of(opened):
        choose_parts(rounds.of_round(opened, number))  # what is wrong is told before a folder is made
    with running("finetune", config, resume=resume) as folder:
        for line in [*opened.lines, opened.overlap()]:
            folder.say(line)
        opened.data.write(folder.path, opened.codes)
        outcome = _every_round(folder, opened) if several else _one_round(folder, opened, folder.path)
        _record(folder, opened, outcome)
    return folder.result


def _one_round(folder: RunFolder, opened: Opened, place: Path) -> Outcome:
    """Train one model and write it to `place`."""
    return train_and_score(
        opened,
        opened.encoder,
        say=folder.say,
        log=MetricsFile(place / "metrics.csv").write,
        keep=lambda model, record: _keep(folder, place, model, record),
    )


def _every_round(folder: RunFolder, opened: Opened) -> Outcome:
    """Train a model a round, in a folder each; rounds that were finished before are taken as they are."""
    outcomes, made = [], rounds.made_with(opened)
    for number in rounds.rounds_of(opened):
        place = folder.file(f"fold{number}")
        place.mkdir(exist_ok=True)
        outcome = rounds.read_outcome(place, opened.task, made, opened.unread)
        if outcome is None:
            (place / "metrics.csv").unlink(missing_ok=True)  # of a round that was stopped
            outcome = _one_round(folder, rounds.of_round(opened, number), place)
            rounds.write_outcome(place, outcome, made, opened.unread)
        name, metric = next(iter(outcome.metrics.items()))
        folder.say(f"{place.name}: {line_of(name, metric)}")
        outcomes.append(outcome)
    found = rounds.pooled(outcomes, opened.task)
    return replace(found, details=[rounds.summary(outcomes)])


def train_rounds(opened: Opened, encoder: Encoder) -> Outcome:
    """`train_and_score` in the rounds that `finetune.fold` asks for, their test items together."""
    outcomes = [train_and_score(rounds.of_round(opened, number), encoder) for number in rounds.rounds_of(opened)]
    return outcomes[0] if len(outcomes) == 1 else rounds.pooled(outcomes, opened.task)


def train_and_score(
    opened: Opened,
    encoder: Encoder,
    *,
    say: Say | None = None,
    log: LogRow | None = None,
    keep: Keep | None = None,
) -> Outcome:
    """Train a copy of an encoder with a head on the train items, choose its weights on the validation items, and score
    them once on the test items.

    Args:
        opened: data, labels, splits and `config.finetune`.
        encoder: where training begins; it is left as it is.
        say: takes a line for the user.
        log: takes rows for `metrics.csv`.
        keep: takes the model and its record whenever it is the best so far.

    Returns:
        Metrics of the test items. For segmentation `score` is `[n, M]`, the figures of each item as named by
        `columns`, and `target` is empty. `details[0]` holds steps, losses and the chosen step.

    Raises:
        LabelError: no labelled train or test items.
        ConfigError: the task does not fit the encoder, or `finetune.*` is wrong.
        RunFailed: training failed.
    """
    config, task, data = opened.config, opened.task, opened.data
    tell: Say = say or (lambda line: None)
    parts = choose_parts(opened)
    scratch = encoder.path is None
    recipe, batch_size, lines = recipe_of(config, parts, opened.window, task.kind, scratch=scratch)
    for line in [*parts.lines, *lines]:
        tell(line)
    device = device_of(config)
    torch.manual_seed(config.seed)
    # A copy: the caller may start from the same encoder again.
    backbone = copy.deepcopy(encoder.model).requires_grad_(True)
    model = TransferModel(backbone, task, config.finetune.width, frozen=config.finetune.mode == "frozen")
    if task.kind == "regression":
        known = data.facts.target[parts.train]
        model.shift.fill_(float(np.mean(known)))
        model.scale.fill_(max(float(np.std(known)), 1e-12))
    if config.finetune.head == "probe" and isinstance(model.head, LinearHead):
        tell(start_at_probe(model, opened, encoder, parts))
    scorer = Scorer(opened, parts, device)
    maker = training_maker(opened)
    loader = _loader(opened, parts, scorer, maker, batch_size, device)
    layout = data.facts.layout
    record = ModelRecord(
        encoder=encoder.record,
        task=task,
        values=() if layout is None else tuple(layout.values),
        width=config.finetune.width,
        mode=config.finetune.mode,
        training=training_record(data.catalog.row(int(i)).fingerprint for i in parts.rows(parts.train)),
    )

    def improved(found: TransferModel, step: int) -> None:
        if keep is not None:
            keep(found, replace(record, step=step))

    with Bar("finetune", sys.stderr) as bar:
        history = train(
            model,
            iter(loader),
            maker,
            recipe,
            device=device,
            validate=scorer.validate if len(parts.validation) else None,
            improved=improved,
            log=log,
            say=tell,
            progress=bar,
        )
    outcome = scorer.test(model)
    outcome.details[0] |= {
        "fold": config.finetune.fold,
        "steps": recipe.steps,
        "best_step": history.best_step,
        "validation": history.best,
        "loss": {"first": history.first, "last": history.last},
        "samples_per_second": recipe.steps * batch_size / max(history.seconds, 1e-9),
    }
    return outcome


def training_maker(opened: Opened) -> ViewMaker:
    """Makes augmented views of the size the encoder takes."""
    data = opened.data
    if opened.config.views.zoom == "auto":
        why = "a label may depend on size" if data.domain.true_size else "crops are scaled"
        opened.config.resolve("views.zoom", not data.domain.true_size, why)
    return ViewMaker(
        data.domain.layout,
        Plan.augmented(1, labels="required"),
        opened.config.views.model_copy(update={"global_size": list(opened.window)}),
        tuple(data.domain.views()),
        opened.config.seed,
        window=opened.window,
    )


def _loader(
    opened: Opened, parts: Parts, scorer: Scorer, maker: ViewMaker, batch_size: int, device: torch.device
) -> Loader:
    """Endless batches of the labelled train items."""
    data, config = opened.data, opened.config
    rows = parts.rows(parts.train)
    labels = data.labels_by_row(parts.train)
    return Loader(
        data.catalog.select(rows),
        scorer.masked or data.domain,
        maker.plan,
        window=maker.read_size,
        batch_size=batch_size,
        seed=config.seed,
        workers=parts.workers,
        windows_per_item=config.data.windows_per_item,
        labels=None if labels is None else labels[rows],
        max_bad_fraction=config.data.max_bad_fraction,
        pin=device.type == "cuda",
    )


def _keep(folder: RunFolder, place: Path, model: TransferModel, record: ModelRecord) -> None:
    write_model(place, model, record)
    folder.update(steps=record.step)


def _record(folder: RunFolder, opened: Opened, outcome: Outcome) -> None:
    """Write metrics and predictions, and say them."""
    metrics = {f"finetune/{name}": metric for name, metric in outcome.metrics.items()}
    for name, metric in metrics.items():
        folder.say(line_of(name, metric))
    write_predictions(folder.file("predictions_finetune.csv"), outcome, opened.task)
    for line in opened.left_out():
        folder.say(line)
    details = outcome.details[0]
    models = [folder.file(f"fold{n}") for n in rounds.rounds_of(opened)] if "rounds" in details else [folder.path]
    weights = [str(place / WEIGHTS) for place in models]
    folder.update(
        metrics=as_result(metrics),
        steps=details["steps"],
        loss=details["loss"],
        samples_per_second=details["samples_per_second"],
        details={"finetune": details},
        paths={"run": str(folder.path), **({"models": weights} if len(weights) > 1 else {"model": weights[0]})},
        **opened.about(),
    )
