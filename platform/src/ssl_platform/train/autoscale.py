"""`auto` values of a run from its data, its batch and its machine, each with the reason that is printed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan

CPU_CELLS = 1_800_000
"""Cells of all windows of a batch on a CPU: sixteen windows of 48^3, about 0.3 s a step with the smallest encoder."""
CPU_STEPS, CPU_STEPS_COMPARED = 500, 250
"""Steps of a run on a CPU: of minutes, where several views cost several times as much and teach as much sooner."""
GPU_PASSES, GPU_STEPS = 100, (2_000, 100_000)
_MOST_PER_ITEM = 16
LARGEST_BATCH = 256
BYTES_PER_CELL = 160
"""GPU memory a cell of a window needs over forward and backward with two views in 16-bit, with room to spare; measured
between 40 (MAE, patch 16) and 150 (two views, patch 8)."""


@dataclass(frozen=True)
class Machine:
    """What a run has to work with.

    Attributes:
        device: `cpu` or `cuda`.
        world: processes.
        cpus: that one process may use.
        memory: bytes free on the device (a GPU's), 0 when unknown.
        bf16: whether the device computes in bfloat16.
    """

    device: str
    world: int = 1
    cpus: int = 1
    memory: int = 0
    bf16: bool = False

    @property
    def gpu(self) -> bool:
        """Whether it trains on a GPU."""
        return self.device != "cpu"


def granted_cpus() -> int:
    """CPUs the processes on this machine may use: the affinity, not the machine's count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve(config: RunConfig, key: str, value: Any, why: str, lines: list[str]) -> None:
    """Set an `auto` key and keep the line that says so."""
    config.resolve(key, value, why)
    lines.append(f"{key}={value} ({why})")


def batch_size(
    config: RunConfig,
    windows: int,
    window: Sequence[int],
    machine: Machine,
    shapes: Sequence[Sequence[int]] = (),
) -> list[str]:
    """Resolve `data.batch_size`.

    Args:
        config: changed in place.
        windows: windows of one pass.
        window: cells read along each axis.
        machine: what the run has.
        shapes: of the items, in cells: where few large ones keep the batch small, the line says what helps.

    Returns:
        The line to print, if it was `auto`.

    Raises:
        ConfigError: the batch cannot be shared by the processes and micro-batches.
    """
    lines: list[str] = []
    share = machine.world * config.data.accumulate
    if config.data.batch_size == "auto":
        batch, why = _batch(windows, math.prod(window), machine, config.data.accumulate)
        if "quarter" in why and not config.given("data.windows_per_item"):
            why += _more_windows(shapes, window)
        resolve(config, "data.batch_size", batch, why, lines)
    batch = int(config.data.batch_size)
    if batch < share or batch % share:
        raise ConfigError(
            f"data.batch_size={batch}: must be a multiple of processes x data.accumulate = {machine.world} x "
            f"{config.data.accumulate} = {share}; use data.batch_size={max(1, round(batch / share)) * share}"
        )
    return lines


def steps_and_machine(config: RunConfig, windows: int, machine: Machine, views: int = 1) -> list[str]:
    """Resolve `trainer.max_steps`, `data.workers` and `trainer.precision`; return the lines to print.

    Args:
        config: changed in place.
        windows: windows of one pass.
        machine: what the run has.
        views: views the objective makes of a sample.
    """
    lines: list[str] = []
    batch = int(config.data.batch_size)
    if config.trainer.max_steps == "auto":
        steps, why = _steps(windows, batch, machine, views)
        resolve(config, "trainer.max_steps", steps, why, lines)
    if config.data.workers == "auto":
        workers, why = _workers(machine)
        resolve(config, "data.workers", workers, why, lines)
    if config.trainer.precision == "auto":
        if not machine.gpu:
            precision, why = "32", "CPU"
        elif machine.bf16:
            precision, why = "bf16-mixed", "the GPU computes in bfloat16"
        else:
            precision, why = "16-mixed", "the GPU has no bfloat16"
        resolve(config, "trainer.precision", precision, why, lines)
    return lines


def intervals(config: RunConfig) -> list[str]:
    """Resolve `trainer.checkpoint_every` and `health.every` from the number of steps."""
    lines: list[str] = []
    steps = int(config.trainer.max_steps)
    if config.trainer.checkpoint_every == "auto":
        every = min(1000, max(10, steps // 10))
        resolve(config, "trainer.checkpoint_every", every, "a tenth of the run, between 10 and 1000 steps", lines)
    if config.health.every == "auto":
        every = min(500, max(25, steps // 10))
        resolve(config, "health.every", every, "a tenth of the run, between 25 and 500 steps", lines)
    return lines


def _more_windows(shapes: Sequence[Sequence[int]], window: Sequence[int]) -> str:
    """`; items hold about 16 windows: ...`, where the median item holds several; else nothing."""
    held = sorted(math.prod(n // w for n, w in zip(shape, window, strict=True)) for shape in shapes)
    room = min(_MOST_PER_ITEM, held[len(held) // 2]) if held else 0
    if room < 2:
        return ""
    return f"; items hold several: data.windows_per_item={room} reads more of them in a pass, in larger batches"


def _batch(windows: int, cells: int, machine: Machine, accumulate: int) -> tuple[int, str]:
    share = machine.world * accumulate
    if machine.gpu and machine.memory:
        fit = int(machine.memory * 0.7 / (cells * BYTES_PER_CELL)) * machine.world * accumulate
        what = f"{machine.memory / 2**30:.0f} GiB of GPU memory"
    else:
        fit, what = CPU_CELLS // cells, f"CPU, windows of {cells:,} cells"
    most = max(2, windows // 4)
    batch = 1 << max(1, int(math.log2(max(2, min(fit, LARGEST_BATCH, most)))))
    some = f"a quarter of {windows} windows" if windows >= 8 else f"the least, for {windows} windows"
    why = what if fit <= most else some
    return max(1, round(batch / share)) * share, why


def _steps(windows: int, batch: int, machine: Machine, views: int) -> tuple[int, str]:
    if not machine.gpu:
        steps = CPU_STEPS if views < 2 else CPU_STEPS_COMPARED
        return steps, f"CPU: a run of minutes, {steps * batch / max(1, windows):.1f} passes"
    wanted = GPU_PASSES * windows // batch
    steps = min(max(wanted, GPU_STEPS[0]), GPU_STEPS[1])
    return steps, f"{GPU_PASSES} passes over {windows} windows, within {GPU_STEPS[0]} and {GPU_STEPS[1]}"


def _workers(machine: Machine) -> tuple[int, str]:
    if not machine.gpu:
        spare = machine.cpus - 2
        return (1, "training itself needs the CPUs") if spare > 0 else (0, "no CPU to spare: read in the main process")
    return max(1, min(8, machine.cpus - 1)), f"{machine.cpus} CPUs granted to each process"


def chunks(config: RunConfig, plan: Plan, batch: int) -> tuple[int, list[str]]:
    """Parts the backbone works through a batch in, and what becomes of negatives under `data.accumulate`.

    Args:
        config: `data.accumulate`, the objective's name.
        plan: of the objective.
        batch: global batch.

    Raises:
        ConfigError: the loss is not defined on so few samples.
    """
    accumulate, name = config.data.accumulate, config.objective["name"]
    if batch < plan.min_batch:
        raise ConfigError(
            f"data.batch_size={batch}: {name} needs at least {plan.min_batch} samples in one loss; raise it "
            f"(data.accumulate keeps the memory of small micro-batches)"
        )
    if accumulate == 1 or not plan.batch_coupled:
        return 1, []
    return accumulate, [
        f"data.accumulate={accumulate}: samples meet in the loss of {name}, so all {batch} of a step stay in one loss "
        f"and no negative is lost; the encoder works in {accumulate} parts and computes each twice"
    ]
