"""One model for a task: trained on the train items, chosen on the validation items, scored once on the test items."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import torch

from ssl_platform.data.loader import Loader
from ssl_platform.data.progress import Bar
from ssl_platform.data.reader import Substitute
from ssl_platform.encoder import Encoder
from ssl_platform.encoder_record import training_record
from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan
from ssl_platform.train.signals import Signals
from ssl_platform.transfer.evaluation import Outcome
from ssl_platform.transfer.fitting import Parts, choose_parts, recipe_of
from ssl_platform.transfer.head_start import start_at_probe
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.model import ModelRecord, TransferModel
from ssl_platform.transfer.modes import apply_mode
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.transfer.savepoint import Savepoint
from ssl_platform.transfer.scoring import Scorer
from ssl_platform.transfer.training import Listeners, train
from ssl_platform.views.maker import ViewMaker

Say = Callable[[str], None]
Keep = Callable[[TransferModel, ModelRecord], None]
LogRow = Callable[[Mapping[str, float | int | str | None]], None]


@dataclass(frozen=True)
class Follow:
    """Who follows the making of a model.

    Attributes:
        say: takes a line for the user.
        log: takes rows for `metrics.csv`.
        keep: takes the model and its record whenever it is the best so far.
        savepoint: where the training saves.
        state: what it goes on from.
        signals: end it after saving.
    """

    say: Say = lambda line: None
    log: LogRow = lambda row: None
    keep: Keep = lambda model, record: None
    savepoint: Savepoint | None = None
    state: Mapping[str, Any] | None = None
    signals: Signals | None = None


def train_and_score(opened: Opened, encoder: Encoder, follow: Follow = Follow()) -> Outcome:
    """Train a copy of an encoder with a head on the train items, choose its weights on the validation items, and score
    them once on the test items.

    Args:
        opened: data, labels, splits and `config.finetune`.
        encoder: where training begins; it is left as it is.
        follow: who hears of it.

    Returns:
        Metrics of the test items. For segmentation `score` is `[n, M]`, the figures of each item as named by
        `columns`, and `target` is empty. `details[0]` holds steps, losses and the chosen step.

    Raises:
        LabelError: no labelled train or test items.
        ConfigError: the task does not fit the encoder, or `finetune.*` is wrong.
        RunFailed: training failed, or a signal stopped it.
    """
    config, task = opened.config, opened.task
    parts = choose_parts(opened)
    scratch = encoder.path is None
    device = device_of(config)
    torch.manual_seed(config.seed)
    model, lines = _model(opened, encoder, parts)
    recipe, batch_size, settled = recipe_of(config, parts, opened.window, task.kind, scratch=scratch)
    for line in [*parts.lines, *lines, *settled]:
        follow.say(line)
    if follow.state is None and config.finetune.head == "probe" and isinstance(model.head, LinearHead):
        follow.say(start_at_probe(model, opened, encoder, parts))
    scorer = Scorer(opened, parts, device)
    maker = training_maker(opened)
    loader = _loader(opened, parts, scorer, maker, batch_size, device, follow.state)
    record = _record(opened, encoder, model, parts)

    def save(step: int, state: dict[str, Any]) -> None:
        assert follow.savepoint is not None
        follow.savepoint.write(step, {**state, "substitutes": [astuple(known) for known in loader.substitutes]})

    with Bar("finetune", sys.stderr) as bar, _interruptible(follow.signals) as stop:
        listeners = Listeners(
            validate=scorer.validate if len(parts.validation) else None,
            improved=lambda found, step: follow.keep(found, replace(record, step=step)),
            log=follow.log,
            say=follow.say,
            progress=bar,
            save=None if follow.savepoint is None else save,
            stop=stop,
        )
        history = train(model, iter(loader), maker, recipe, device=device, listeners=listeners, state=follow.state)
    outcome = scorer.test(model)
    outcome.details[0] |= {
        "fold": config.finetune.fold,
        "mode": config.finetune.mode,
        **({"decoder": model.decoder} if model.decoder else {}),
        "steps": recipe.steps,
        "best_step": history.best_step,
        "validation": history.best,
        "loss": {"first": history.first, "last": history.last},
        "samples_per_second": recipe.steps * batch_size / max(history.seconds, 1e-9),
    }
    return outcome


def _model(opened: Opened, encoder: Encoder, parts: Parts) -> tuple[TransferModel, list[str]]:
    """A copy of the encoder with a head, as `finetune.*` asks, and lines about it."""
    config, task, own = opened.config, opened.task, opened.config.finetune
    if own.decoder != "auto" and task.kind != "segmentation":
        raise ConfigError(f"finetune.decoder={own.decoder}: {task.kind} has no decoder; leave it out")
    # A copy: the caller may start from the same encoder again.
    backbone = copy.deepcopy(encoder.model).requires_grad_(True)
    model = TransferModel(backbone, task, own.width, frozen=own.mode == "frozen", decoder=own.decoder)
    lines = [apply_mode(model, own)]
    if own.decoder == "auto" and model.decoder:
        why = f"what {encoder.record.backbone.name} gives"
        config.resolve("finetune.decoder", model.decoder, why)
        lines.append(f"finetune.decoder={model.decoder} ({why})")
    if task.kind == "regression":
        known = opened.data.facts.target[parts.train]
        model.shift.fill_(float(np.mean(known)))
        model.scale.fill_(max(float(np.std(known)), 1e-12))
    return model, lines


def _record(opened: Opened, encoder: Encoder, model: TransferModel, parts: Parts) -> ModelRecord:
    data, layout = opened.data, opened.data.facts.layout
    return ModelRecord(
        encoder=encoder.record,
        task=opened.task,
        values=() if layout is None else tuple(layout.values),
        width=opened.config.finetune.width,
        decoder=model.decoder,
        mode=opened.config.finetune.mode,
        training=training_record(data.catalog.row(int(i)).fingerprint for i in parts.rows(parts.train)),
    )


@contextlib.contextmanager
def _interruptible(signals: Signals | None) -> Iterator[Callable[[], int]]:
    """While steps are done a signal waits for the end of one; gives what asks for the exit code it ends with."""
    if signals is None:
        yield lambda: 0
        return
    signals.training = True
    try:
        yield lambda: signals.exit_code
    finally:
        signals.training = False


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
    opened: Opened,
    parts: Parts,
    scorer: Scorer,
    maker: ViewMaker,
    batch_size: int,
    device: torch.device,
    state: Mapping[str, Any] | None,
) -> Loader:
    """Endless batches of the labelled train items, from where `state` was saved."""
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
        start=0 if state is None else int(state["step"]) * batch_size,
        substitutes=[] if state is None else [Substitute(*known) for known in state["substitutes"]],
        workers=parts.workers,
        windows_per_item=config.data.windows_per_item,
        labels=None if labels is None else labels[rows],
        max_bad_fraction=config.data.max_bad_fraction,
        pin=device.type == "cuda",
    )
