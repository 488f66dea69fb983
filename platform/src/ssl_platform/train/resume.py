"""Putting a run's state back, and whether its data is still what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ssl_platform.data.catalog import Catalog
from ssl_platform.errors import DataError, UsageError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective


def model_state(backbone: Backbone, objective: Objective, optimizer: Optimizer, scaler: Any = None) -> dict[str, Any]:
    """Weights, buffers, optimiser and gradient scaler, as tensors and plain values."""
    return {
        "backbone": backbone.state_dict(),
        "objective": objective.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": dict(scaler.state_dict()) if scaler is not None else None,
    }


def restore(
    state: Mapping[str, Any], backbone: Backbone, objective: Objective, optimizer: Optimizer, scaler: Any = None
) -> None:
    """Put a checkpoint back.

    Raises:
        UsageError: the model was built differently from the one saved.
    """
    _load(backbone, state["backbone"], "backbone")
    _load(objective, state["objective"], "objective")
    try:
        optimizer.load_state_dict(state["optimizer"])
    except ValueError as error:
        raise UsageError(f"the checkpoint's optimiser does not fit this run: {error}") from error
    if scaler is not None and state.get("scaler"):
        scaler.load_state_dict(state["scaler"])


def elsewhere(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The line to print where a run goes on under other circumstances than it began, or an empty text.

    Args:
        before, now: what `provenance.environment` says of the run's start and of this process.
    """
    changes = [
        f"{key} {before[key]} then, {now.get(key)} now"
        for key in ("device", "processes", "threads", "system")
        if key in before and before[key] != now.get(key)
    ]
    old, new = (facts.get("packages", {}).get("torch") for facts in (before, now))
    if old and old != new:
        changes.append(f"torch {old} then, {new} now")
    return f"resumed, but not bit-equal to a run without a stop: {'; '.join(changes)}" if changes else ""


def _load(module: nn.Module, state: Mapping[str, torch.Tensor], what: str) -> None:
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"the checkpoint's {what} does not fit this run: {line}") from error


def check_same_data(saved: Catalog, now: Catalog) -> None:
    """Refuse to go on when the items are no longer those the run began with.

    Raises:
        DataError: files are missing, changed or new; the message counts them and names one.
    """
    before = dict(zip(saved.column("id"), saved.column("fingerprint"), strict=True))
    after = dict(zip(now.column("id"), now.column("fingerprint"), strict=True))
    missing = [name for name in before if name not in after]
    changed = [name for name in before if name in after and after[name] != before[name]]
    new = [name for name in after if name not in before]
    if missing or changed or new:
        first = (missing or changed or new)[0]
        raise DataError(
            f"--resume: {len(missing)} source files are missing, {len(changed)} changed, {len(new)} are new since the "
            f"run began (first: {first}); restore them, or start a new run with --init"
        )
