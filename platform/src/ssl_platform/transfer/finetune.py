"""`finetune`: from an encoder to a model for a task, scored once on the test items."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl_platform.config.schema import RunConfig
from ssl_platform.encoder import Encoder
from ssl_platform.errors import UsageError
from ssl_platform.train.atomic import write_json
from ssl_platform.train.metrics import MetricsFile
from ssl_platform.train.run import RunFolder, read_result
from ssl_platform.train.signals import Signals
from ssl_platform.transfer import rounds
from ssl_platform.transfer.evaluation import Outcome, as_result, line_of
from ssl_platform.transfer.fitting import choose_parts
from ssl_platform.transfer.model import WEIGHTS, ModelRecord, TransferModel, write_model
from ssl_platform.transfer.opening import Opened, open_transfer
from ssl_platform.transfer.probe import write_predictions
from ssl_platform.transfer.running import AtEnd, running
from ssl_platform.transfer.savepoint import Savepoint, check_same
from ssl_platform.transfer.train_model import Follow, train_and_score

MADE = "made_with.json"
"""What the outcome of a run depends on: with other settings or data it is not resumed."""


def finetune(config: RunConfig, *, resume: bool = False, at_end: AtEnd | None = None) -> dict[str, Any]:
    """Train a model for a task from an encoder, or one in every round of a cross-validation (`finetune.fold=all`).

    With the encoder `random` this is supervised training from scratch.

    Args:
        config: names encoder, data and labels; `finetune.*` says how.
        resume: go on in the folder of a run of the same command that was stopped. It ends as if it had not been.
        at_end: called when everything is written, while the data is at hand.

    Returns:
        What `result.json` holds; metrics are named `finetune/metric` and taken once, on the test items.

    Raises:
        UsageError: found before the first step.
        RunFailed: after it.
        RunStopped: a signal came; what was trained is saved.
    """
    if resume:
        _check_resume(config)
    opened = open_transfer(config)
    if config.finetune.fold == "all" and len(opened.codes) == 1:
        config.resolve("finetune.fold", 1, "the split is no cross-validation")
    for number in rounds.rounds_of(opened):
        choose_parts(rounds.of_round(opened, number))  # what is wrong is told before a folder is made
    made = rounds.made_with(opened)
    if resume:
        _check_same(config, made)
    signals = Signals()
    signals.install()
    try:
        with running("finetune", config, resume=resume) as folder:
            write_json(folder.file(MADE), made)
            for line in [*opened.lines, opened.overlap()]:
                folder.say(line)
            opened.data.write(folder.path, opened.codes)
            if config.finetune.fold == "all":
                outcome = _every_round(folder, opened, made, signals)
            else:
                outcome = _one_round(folder, opened, folder.path, made, signals)
            _record(folder, opened, outcome)
            if at_end is not None:
                at_end(folder, opened)
    finally:
        signals.restore()
    return folder.result


def _check_resume(config: RunConfig) -> None:
    if config.run is None:
        raise UsageError("--resume: name the folder of the run that was stopped with --run DIR")
    command = (read_result(Path(config.run)) or {}).get("command", "finetune")
    if command != "finetune":
        raise UsageError(f"--resume: {config.run} is a run of {command}; name one of finetune with --run DIR")


def _check_same(config: RunConfig, made: dict[str, Any]) -> None:
    begun = Path(str(config.run)) / MADE
    if begun.exists():
        check_same(begun.parent, json.loads(begun.read_text(encoding="utf-8")), made)


def _one_round(folder: RunFolder, opened: Opened, place: Path, made: dict[str, Any], signals: Signals) -> Outcome:
    """Train one model and write it to `place`; from where it was stopped, and not again if it was finished before."""
    outcome = rounds.read_outcome(place, opened.task, made, opened.unread)
    if outcome is not None:
        return outcome
    savepoint = Savepoint(place)
    state = savepoint.read(folder.say)
    if state is not None:
        folder.say(f"goes on after step {state['step']}")
    follow = Follow(
        say=folder.say,
        log=MetricsFile(place / "metrics.csv", keep_until=0 if state is None else int(state["step"])).write,
        keep=lambda model, record: _keep(folder, place, model, record),
        savepoint=savepoint,
        state=state,
        signals=signals,
    )
    outcome = train_and_score(opened, opened.encoder, follow)
    rounds.write_outcome(place, outcome, made, opened.unread)
    savepoint.clear()
    return outcome


def _every_round(folder: RunFolder, opened: Opened, made: dict[str, Any], signals: Signals) -> Outcome:
    """Train a model a round, in a folder each."""
    outcomes = []
    for number in rounds.rounds_of(opened):
        place = folder.file(f"fold{number}")
        place.mkdir(exist_ok=True)
        outcome = _one_round(folder, rounds.of_round(opened, number), place, made, signals)
        name, metric = next(iter(outcome.metrics.items()))
        folder.say(f"{place.name}: {line_of(name, metric)}")
        outcomes.append(outcome)
    found = rounds.pooled(outcomes, opened.task)
    return replace(found, details=[rounds.summary(outcomes)])


def train_rounds(opened: Opened, encoder: Encoder) -> Outcome:
    """`train_and_score` in the rounds that `finetune.fold` asks for, their test items together."""
    outcomes = [train_and_score(rounds.of_round(opened, number), encoder) for number in rounds.rounds_of(opened)]
    return outcomes[0] if len(outcomes) == 1 else rounds.pooled(outcomes, opened.task)


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
