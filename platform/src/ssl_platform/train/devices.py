"""Which devices a run trains on, and with how many processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ssl_platform.config.schema import TrainerConfig
from ssl_platform.errors import ConfigError
from ssl_platform.train.autoscale import Machine, granted_cpus


@dataclass(frozen=True)
class Placement:
    """Where a run trains.

    Attributes:
        accelerator: `cpu` or `gpu`, for the trainer.
        devices: a number of them, or a list of GPU numbers.
        nodes: machines.
        world: processes in all.
        rank: of this process.
        machine: what `auto` values look at.
        note: a line to print, or empty.
    """

    accelerator: str
    devices: int | list[int]
    nodes: int
    world: int
    rank: int
    machine: Machine
    note: str = ""

    @property
    def main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0


def rank_of_environment() -> int:
    """This process's number as torchrun, SLURM or Lightning's launcher say; 0 alone."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        value = os.environ.get(name, "")
        if name == "SLURM_PROCID" and int(os.environ.get("SLURM_NTASKS", "1") or 1) < 2:
            continue
        if value.isdigit():
            return int(value)
    return 0


def place(trainer: TrainerConfig) -> Placement:
    """Resolve `trainer.accelerator`, `trainer.devices` and `trainer.nodes`.

    Raises:
        ConfigError: a device that is not there.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if trainer.accelerator not in ("auto", "cpu", "gpu", "cuda"):
        raise ConfigError(f"trainer.accelerator={trainer.accelerator}: use auto, cpu or gpu")
    gpu = gpus > 0 if trainer.accelerator == "auto" else trainer.accelerator != "cpu"
    if gpu and not gpus:
        raise ConfigError(f"trainer.accelerator={trainer.accelerator}: this machine has no GPU that torch can use")
    devices, note = _devices(trainer, gpu, gpus)
    local = len(devices) if isinstance(devices, list) else devices
    nodes = granted_nodes() if trainer.nodes == "auto" else int(trainer.nodes)
    world = local * nodes
    cpus = cpus_of_process(local)
    machine = _gpu_machine(world, cpus) if gpu else Machine("cpu", world, cpus)
    return Placement("gpu" if gpu else "cpu", devices, nodes, world, rank_of_environment(), machine, note)


def _number(name: str) -> int:
    """A whole number in the environment, 0 where there is none."""
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else 0


def granted_processes() -> int:
    """Processes that torchrun or SLURM start on this machine; 0 where neither does."""
    if started := _number("LOCAL_WORLD_SIZE"):
        return started
    if "SLURM_JOB_ID" not in os.environ:
        return 0
    return _number("SLURM_NTASKS_PER_NODE") or _number("SLURM_NTASKS") // max(1, _number("SLURM_NNODES"))


def granted_nodes() -> int:
    """Machines that torchrun or SLURM start processes on."""
    if local := _number("LOCAL_WORLD_SIZE"):
        return max(1, _number("WORLD_SIZE") // local)
    return max(1, _number("SLURM_NNODES")) if "SLURM_JOB_ID" in os.environ else 1


def cpus_of_process(local: int) -> int:
    """CPUs that one process may use: those SLURM bound it to, else its share of those granted.

    Args:
        local: processes on this machine.
    """
    granted, bound = granted_cpus(), _number("SLURM_CPUS_PER_TASK")
    if bound and not _number("LOCAL_WORLD_SIZE"):  # torchrun's processes share what its one task was given
        return min(granted, bound)
    return max(1, granted // local)


def _devices(trainer: TrainerConfig, gpu: bool, gpus: int) -> tuple[int | list[int], str]:
    asked: Any = trainer.devices
    if asked == "auto":
        granted = granted_processes()
        if granted > 1:
            idle = gpu and granted < gpus
            return granted, f"training on {granted} of {gpus} GPUs: so many processes were started" if idle else ""
        if gpu and gpus > 1:
            return 1, f"training on one of {gpus} GPUs; trainer.devices={gpus} uses all"
        return 1, ""
    if isinstance(asked, str) and asked.lstrip("-").isdigit():
        asked = int(asked)
    if isinstance(asked, str):
        try:
            asked = [int(part) for part in asked.split(",")]
        except ValueError:
            raise ConfigError(f"trainer.devices={trainer.devices}: use auto, a number, or a list such as 0,2") from None
    wrong = [d for d in asked if d >= gpus] if isinstance(asked, list) else []
    if isinstance(asked, int) and asked == -1:
        asked = max(1, gpus if gpu else 1)
    if wrong or (isinstance(asked, int) and (asked < 1 or (gpu and asked > gpus))):
        raise ConfigError(f"trainer.devices={trainer.devices}: this machine has {gpus} GPU(s)")
    return asked, ""


def _gpu_machine(world: int, cpus: int) -> Machine:
    import torch

    free, _ = torch.cuda.mem_get_info()
    return Machine("cuda", world, cpus, int(free), torch.cuda.is_bf16_supported())
