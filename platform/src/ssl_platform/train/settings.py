"""The Trainer: Lightning's parts that are used, and its defaults that are not."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy

from ssl_platform.config.schema import TrainerConfig
from ssl_platform.train.devices import Placement

_PRECISION = {"32": "32-true", "64": "64-true", "16-mixed": "16-mixed", "bf16-mixed": "bf16-mixed"}


def make_trainer(
    config: TrainerConfig, placement: Placement, steps: int, accumulate: int, callbacks: list[Callback], folder: Path
) -> Trainer:
    """A Trainer that does nothing of its own accord but run the loop.

    No logger, no checkpoints, no bar, no validation, no sampler, no clipping: each of Lightning's would break exact
    resume, count micro-batches as steps, or write beside the run folder.

    Args:
        config: `trainer.*`, resolved.
        placement: devices.
        steps: optimiser steps still to do.
        accumulate: micro-batches a step.
        callbacks: ours.
        folder: where Lightning would write if it wrote.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    if config.tf32 and placement.machine.gpu:
        torch.set_float32_matmul_precision("high")
    settings: dict[str, Any] = {
        "precision": _PRECISION[config.precision],
        "deterministic": config.deterministic or None,
    }
    return Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator=placement.accelerator,
        devices=placement.devices,
        num_nodes=placement.nodes,
        strategy=_strategy(placement),
        accumulate_grad_batches=accumulate,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=None,
        default_root_dir=folder,
        **settings,
    )


def _strategy(placement: Placement) -> str | Strategy:
    if placement.world == 1:
        return "auto"
    # Buffers are updated alike on all ranks by the objective itself: sending them along every step would only cost, and
    # would hide a difference. Objectives may leave parameters unused in a step.
    return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False, gradient_as_bucket_view=True)
