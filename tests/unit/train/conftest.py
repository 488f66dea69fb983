"""Runs over the toy domain, installed as a plugin for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""

SMALL = {
    "data.batch_size": 4,
    "data.workers": 0,
    "trainer.max_steps": 4,
    "trainer.checkpoint_every": 1,
    "trainer.keep": 9,
    "trainer.precision": "32",
    "backbone.depth": 1,
    "backbone.dim": 32,
    "backbone.heads": 2,
    "health.enabled": False,
    "scale": "tiny",
    "optim.lr": 1e-3,
}


@pytest.fixture
def toy_run(install: Callable[..., str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`toy_run("mae", run="a", **{"optim.lr": 1e-2})` trains a few steps in this process."""
    install("ssl-platform-toy", TOY)

    def run(objective: str = "mae", run: str = "run", resume: bool = False, **changes: Any) -> dict[str, Any]:
        from ssl_platform import api

        given = {} if resume else SMALL
        settings = {name.replace("__", "."): value for name, value in changes.items()}
        return api.pretrain(
            domain="toy",
            objective=objective,
            run=tmp_path / run,
            resume=resume,
            overrides={**given, **settings},
        )

    return run
