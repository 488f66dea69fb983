"""Whether a run may go on, and putting its state back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ssl_platform.errors import ConfigError, UsageError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective

MAY_DIFFER = (
    "run",
    "trainer.devices",
    "trainer.nodes",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.loggers",
    "trainer.keep",
    "trainer.requeue",
    "data.workers",
    "cache.dir",
    "cache.max_gb",
)
"""Keys that say where and how a run is carried out, never what comes out of it."""


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"optim": {"lr": 1}}` as `{"optim.lr": 1}`; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def merge(saved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration a run goes on with: what it was started with, and from `given` what may differ.

    Args:
        saved: the run's `config.yaml`.
        given: dotted keys set on this command line.

    Returns:
        The saved configuration, nested, with the allowed changes.

    Raises:
        ConfigError: another key differs.
    """
    flat = flatten(saved)
    for key, value in flatten(given).items():
        if key in MAY_DIFFER or value == flat.get(key):
            continue
        raise ConfigError(
            f"--resume: {key}={_shown(value)} but the run was started with {_shown(flat.get(key))}; only devices, "
            f"workers and loggers may differ (start a new run with --init for other settings)"
        )
    merged = _copy(saved)
    for key, value in flatten(given).items():
        if key in MAY_DIFFER:
            _put(merged, key.split("."), value)
    return merged


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


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


def _load(module: nn.Module, state: Mapping[str, torch.Tensor], what: str) -> None:
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"the checkpoint's {what} does not fit this run: {line}") from error
