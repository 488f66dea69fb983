"""`trainer.devices=auto` is what torchrun or SLURM grants, else one GPU with the idle ones named."""

from __future__ import annotations

import os

import pytest
import torch

from ssl_platform.config.schema import TrainerConfig
from ssl_platform.errors import ConfigError
from ssl_platform.train import devices
from ssl_platform.train.autoscale import Machine, granted_cpus
from ssl_platform.train.devices import place, rank_of_environment

LAUNCHERS = ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK", "LOCAL_RANK", "SLURM_JOB_ID", "SLURM_NTASKS")
LAUNCHERS += ("SLURM_NTASKS_PER_NODE", "SLURM_NNODES", "SLURM_PROCID", "SLURM_CPUS_PER_TASK")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> int:
    """A machine with four GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(devices, "_gpu_machine", lambda world, cpus: Machine("cuda", world, cpus, 2**34, True))
    return 4


def test_alone_it_is_one_process_on_the_cpu() -> None:
    found = place(TrainerConfig())
    assert (found.accelerator, found.devices, found.nodes, found.world, found.rank) == ("cpu", 1, 1, 1, 0)
    assert found.main and found.note == "" and found.machine == Machine("cpu", 1, granted_cpus())


def test_one_gpu_of_several_names_the_idle_ones(gpus: int) -> None:
    found = place(TrainerConfig())
    assert (found.accelerator, found.devices, found.machine.gpu) == ("gpu", 1, True)
    assert found.note == "training on one of 4 GPUs; trainer.devices=4 uses all"
    assert place(TrainerConfig(devices=4)).note == "" and place(TrainerConfig(accelerator="cpu")).accelerator == "cpu"


LAUNCHED = {
    "torchrun": ({"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}, (2, 1, 2, 1)),
    "torchrun on machines": ({"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "6"}, (4, 2, 8, 6)),
    "srun per node": ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "6", "SLURM_NTASKS_PER_NODE": "3"}, (3, 2, 6, 5)),
    "srun": ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, (2, 2, 4, 3)),
    "a job of one task": ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_NNODES": "1"}, (1, 1, 1, 0)),
}


@pytest.mark.parametrize("launcher", LAUNCHED)
def test_what_a_launcher_grants(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, expected = LAUNCHED[launcher]
    if "srun" in launcher:
        given = {**given, "SLURM_NNODES": "2", "SLURM_PROCID": str(expected[3])}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = place(TrainerConfig())
    assert (found.devices, found.nodes, found.world, found.rank) == expected
    assert found.rank == rank_of_environment() and found.main is (expected[3] == 0)


def test_fewer_processes_than_gpus_are_said(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert place(TrainerConfig()).note == "training on 3 of 4 GPUs: so many processes were started"


@pytest.mark.parametrize(
    ("asked", "expected"), [(2, 2), ("2", 2), (-1, 4), ("0,2", [0, 2])], ids=["number", "text", "all", "list"]
)
def test_devices_asked_for(asked: int | str, expected: int | list[int], gpus: int) -> None:
    assert place(TrainerConfig(devices=asked)).devices == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"accelerator": "tpu"}, "trainer.accelerator=tpu: use auto, cpu or gpu"),
        ({"devices": "many"}, "trainer.devices=many: use auto, a number, or a list such as 0,2"),
        ({"devices": 5}, r"trainer.devices=5: this machine has 4 GPU\(s\)"),
        ({"devices": "0,4"}, r"trainer.devices=0,4: this machine has 4 GPU\(s\)"),
    ],
)
def test_devices_that_are_not_there(settings: dict[str, str | int], words: str, gpus: int) -> None:
    with pytest.raises(ConfigError, match=words):
        place(TrainerConfig.model_validate(settings))


def test_a_gpu_where_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ConfigError, match="this machine has no GPU that torch can use"):
        place(TrainerConfig(accelerator="gpu"))


@pytest.mark.parametrize(
    ("environment", "cpus"),
    [
        ({}, 12),
        ({"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}, 3),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NNODES": "1"}, 3),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NNODES": "1", "SLURM_CPUS_PER_TASK": "8"}, 8),
        ({"SLURM_JOB_ID": "7", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "SLURM_CPUS_PER_TASK": "12"}, 6),
    ],
    ids=["alone", "torchrun on machines", "srun", "srun bound", "torchrun in a job"],
)
def test_cpus_are_those_of_the_affinity_and_each_process_gets_its_own(
    environment: dict[str, str], cpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3, 15)), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert granted_cpus() == 12 and place(TrainerConfig(accelerator="cpu")).machine.cpus == cpus
