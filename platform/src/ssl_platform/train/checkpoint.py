"""Checkpoints: everything a run needs to go on bit-equal, loaded with `weights_only`, written atomically.

    checkpoints/00000200/state.pt             weights, optimiser, scaler, step, health state, substitutes
    checkpoints/00000200/encoder.safetensors  the encoder at that step, for `--encoder RUN@200`
    checkpoints/00000200/encoder.json

A checkpoint is written into a hidden folder and renamed when all its files are on disk, so a folder with a number is a
complete one.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ssl_platform.errors import RunFailed, UsageError
from ssl_platform.train.atomic import fsync_folder

STATE = "state.pt"
FORMAT = 1
State = dict[str, Any]


def folder_of(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return checkpoints / f"{step:08d}"


def steps_of(checkpoints: Path) -> list[int]:
    """Steps of the complete checkpoints, ascending."""
    if not checkpoints.is_dir():
        return []
    return sorted(int(p.name) for p in checkpoints.iterdir() if p.name.isdigit() and (p / STATE).is_file())


def write(
    checkpoints: Path,
    step: int,
    state: Mapping[str, Any],
    *,
    keep: int,
    extra: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Write one checkpoint and remove the oldest beyond `keep`.

    Args:
        checkpoints: the run's folder of checkpoints.
        step: optimiser steps done.
        state: tensors, numbers, strings, lists and dicts of them only.
        keep: how many complete checkpoints stay.
        extra: writes further files into the folder given.

    Raises:
        RunFailed: the disk refused.
    """
    final = folder_of(checkpoints, step)
    hidden = checkpoints / f".{final.name}.{os.getpid()}"
    try:
        _clear_hidden(checkpoints)
        hidden.mkdir(parents=True)
        torch.save({"format": FORMAT, "step": step, **state}, hidden / STATE)
        extra(hidden)
        for file in hidden.iterdir():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
        if final.exists():  # written again after a resume from an earlier one
            shutil.rmtree(final)
        hidden.rename(final)
        fsync_folder(checkpoints)
        for old in steps_of(checkpoints)[:-keep]:
            shutil.rmtree(folder_of(checkpoints, old))
    except OSError as error:
        shutil.rmtree(hidden, ignore_errors=True)
        raise RunFailed(
            f"checkpoint of step {step} cannot be written to {checkpoints} ({error.strerror or error}): "
            f"free disk space, then --resume continues from the last complete one"
        ) from error
    return final


def read(path: Path) -> State:
    """Load one checkpoint folder.

    Raises:
        UsageError: the file is damaged or of another format.
    """
    try:
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path / STATE}: damaged checkpoint ({str(error).splitlines()[0][:120]})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UsageError(f"{path / STATE}: written by another version of ssl-platform; resume with that version")
    return state


def read_last(checkpoints: Path, say: Callable[[str], None]) -> State | None:
    """The last checkpoint that can be read, or None where there is none.

    A damaged one (a lost disk block) is said and the one before it is taken.

    Raises:
        UsageError: checkpoints exist and none can be read.
    """
    steps = steps_of(checkpoints)
    for step in reversed(steps):
        try:
            return read(folder_of(checkpoints, step))
        except UsageError as error:
            if step == steps[0]:
                raise
            say(f"{error}; taking the one before it")
    return None


def _clear_hidden(checkpoints: Path) -> None:
    """Remove what a killed writer left behind."""
    if checkpoints.is_dir():
        for entry in checkpoints.iterdir():
            if entry.name.startswith("."):
                shutil.rmtree(entry, ignore_errors=True)
