"""The model and the data of a run, from its folder: for pages of runs that ended before their pictures were made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ssl_platform import encoder as encoder_files
from ssl_platform.configure import configure
from ssl_platform.data.leaks import pretraining_rows
from ssl_platform.opening import open_data
from ssl_platform.report import evaluation_snapshot, prediction_snapshot, snapshot
from ssl_platform.report.snapshot import Subject
from ssl_platform.train.assemble import assemble
from ssl_platform.train.run import read_result
from ssl_platform.train.scale import RunSize
from ssl_platform.transfer.opening import open_transfer
from ssl_platform.transfer.predict import open_session
from ssl_platform.transfer.probe import asks_for_labels


def take_again(run: Path) -> None:
    """Make the pictures of a run of `pretrain`, `probe`, `finetune` or `predict` from its folder.

    Raises:
        UsageError: data or encoder are gone or changed.
    """
    result = read_result(run) or {}
    command = str(result.get("command"))
    if command == "pretrain":
        snapshot.take(run, rebuild(run))
        return
    config = configure(command, recipes=[str(run / "config.yaml")], run=str(run))
    if command == "predict":
        prediction_snapshot.take(run, open_session(config, str(result.get("model"))))
        return
    labels = command != "probe" or asks_for_labels(config)
    evaluation_snapshot.take(run, open_transfer(config, labels=labels))


def rebuild(run: Path) -> Subject:
    """Open the data of a pretraining run and load its encoder and parts.

    Raises:
        UsageError: the data is gone or changed, or there is no encoder yet.
    """
    tensors, record, _ = encoder_files.read(run)
    config = configure("pretrain", recipes=[str(run / "config.yaml")], run=str(run))
    data = open_data(config)
    rows, _ = pretraining_rows(data.rows, data.facts, data.splits.codes, config.data.include_test)
    window = tuple(int(n) for n in config.data.window)
    # Every setting is resolved in config.yaml, so the size of the run decides nothing any more.
    windows = len(rows) * config.data.windows_per_item
    steps, classes = int(config.trainer.max_steps), data.facts.classes
    size = RunSize(windows, int(config.data.batch_size), steps, 1, 1, False, classes)
    model = assemble(config, data.domain, data.catalog.channels, window, lambda backbone: size)
    model.finish()
    export = model.objective.export(model.backbone)
    modules: dict[str, torch.nn.Module] = {"encoder": export.encoder}
    modules |= {f"part.{name}": part for name, part in export.parts.items()}
    for name, module in modules.items():
        own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
        module.load_state_dict(own)
    return Subject(config, data, model, np.asarray(rows), record.step)
