"""The head of a run: what will be done, how long it takes and how much space it needs."""

from __future__ import annotations

import math
import os
import re
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.catalog import Catalog
from ssl_platform.train.autoscale import Machine
from ssl_platform.train.progress import duration


def parameters(*modules: nn.Module) -> int:
    """Trainable parameters, each once."""
    seen = {id(p): p.numel() for module in modules for p in module.parameters() if p.requires_grad}
    return sum(seen.values())


def cache_bytes(catalog: Catalog) -> int:
    """What the prepared items take on disk."""
    total = 0
    for row in catalog.rows():
        total += math.prod(row.shape) * max(1, len(row.channels)) * np.dtype(row.dtype or "float32").itemsize
    return total


def checkpoint_bytes(backbone: nn.Module, objective: nn.Module, moments: int = 2) -> int:
    """What one checkpoint takes: weights, buffers, the optimiser's moments, and the encoder file."""
    tensors = [*backbone.state_dict().values(), *objective.state_dict().values()]
    state = sum(t.numel() * t.element_size() for t in tensors)
    encoder = sum(t.numel() * t.element_size() for t in backbone.state_dict().values())
    return state + encoder + 4 * moments * parameters(backbone, objective)


def size(count: float) -> str:
    """`1.4 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def lines(
    config: RunConfig,
    catalog: Catalog,
    window: Sequence[int],
    backbone: nn.Module,
    objective: nn.Module,
    machine: Machine,
    folder: Path,
    cache_folder: Path | None,
) -> list[str]:
    """What is printed before the first step; `cache_folder` is None where items are read from their files."""
    batch, steps = int(config.data.batch_size), int(config.trainer.max_steps)
    windows = len(catalog) * config.data.windows_per_item
    passes = steps * batch / max(1, windows)
    checkpoint = checkpoint_bytes(backbone, objective, 1 if config.optim.name in ("sgd", "lars") else 2)
    place = folder if folder.exists() else next(p for p in folder.absolute().parents if p.exists())
    return [
        f"items {len(catalog):,}, windows {windows:,} of {'x'.join(map(str, window))}, "
        f"{steps:,} steps = {passes:.1f} passes over the data, global batch {batch}"
        + (f" in {config.data.accumulate} micro-batches" if config.data.accumulate > 1 else ""),
        f"parameters: {parameters(backbone):,} in the encoder, {parameters(backbone, objective):,} in all; "
        f"{config.trainer.precision} precision on {machine.world} x {machine.device}",
        "disk: "
        + (
            f"cache up to {size(cache_bytes(catalog))} in {cache_folder} (copies of your data), "
            if cache_folder
            else "windows come straight from your files, none is copied; "
        )
        + f"checkpoints {size(checkpoint)} each, {config.trainer.keep} kept; "
        f"{size(shutil.disk_usage(place).free)} free",
    ]


def peak_memory(device: torch.device) -> tuple[int, str]:
    """Largest memory so far: of the GPU, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "GPU memory"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024), "memory"


def step_line(seconds: float, device: torch.device, left: int) -> str:
    """What one real step told."""
    memory, what = peak_memory(device)
    rest = duration(seconds * left)
    return f"one step took {seconds:.2f} s, peak {what} {size(memory)}, {left:,} more steps take about {rest}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the GPU or of the machine was refused; torch has no type of its own for the latter."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def out_of_memory(batch: int, accumulate: int, error: BaseException) -> str:
    """What the device has and what was needed, and the two keys that change it.

    Args:
        batch: `data.batch_size`.
        accumulate: `data.accumulate`.
        error: one `is_out_of_memory` knows; the machine's names the bytes asked for last.
    """
    if torch.cuda.is_available():
        total, need = torch.cuda.get_device_properties(0).total_memory, torch.cuda.max_memory_allocated()
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        asked = re.search(r"allocate (\d+) bytes", str(error))
        need = peak_memory(torch.device("cpu"))[0] + (int(asked[1]) if asked else 0)
    return (
        f"out of memory with data.batch_size={batch}: needs more than {size(need)}, the device has {size(total)}; "
        f"raise data.accumulate (now {accumulate}) or lower data.batch_size"
    )
