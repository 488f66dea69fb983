"""Keys that a command never reads are refused, not taken in silence."""

from __future__ import annotations

import pytest

from ssl_platform.configure import configure
from ssl_platform.errors import ConfigError


@pytest.mark.parametrize(
    ("command", "key", "value", "fix"),
    [
        ("finetune", "trainer.max_steps", 5, "write finetune.steps"),
        ("finetune", "optim.lr", 1e-4, "write finetune.lr"),
        ("probe", "trainer.max_steps", 5, "write probe.steps"),
        ("embed", "optim.lr", 1e-4, "leave it out of embed"),
        ("finetune", "objective.mask_ratio", 0.5, "leave it out of finetune"),
    ],
)
def test_keys_of_pretraining_are_refused_elsewhere(command: str, key: str, value: object, fix: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} is a key of pretrain, which {command} does not read: {fix}"):
        configure(command, overrides={key: value})
    section, _, last = key.partition(".")
    with pytest.raises(ConfigError, match=fix):
        configure(command, settings={section: {last: value}})


def test_keys_that_are_read_are_taken() -> None:
    assert configure("finetune", overrides={"finetune.steps": 5, "trainer.accelerator": "cpu"}).finetune.steps == 5
    assert configure("pretrain", domain="audio", overrides={"trainer.max_steps": 5}).trainer.max_steps == 5
