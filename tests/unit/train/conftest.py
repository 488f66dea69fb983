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


@pytest.fixture
def fit_module() -> Callable[..., Any]:
    """`fit_module(objective, steps=4, accumulate=2)` trains on toy batches under the real Trainer."""

    def fit(
        objective: Any,
        steps: int = 4,
        accumulate: int = 1,
        batch: int = 4,
        chunks: int = 1,
        plan: Any = None,
        plugins: Any = None,
        before: Callable[[Any], None] = lambda module: None,
        backbone: Any = None,
        prepared: bool = False,
    ) -> Any:
        import torch
        from lightning.pytorch import Trainer

        from ssl_platform.config.schema import ViewsConfig
        from ssl_platform.testing.objectives import small_backbone
        from ssl_platform.testing.toy import toy_batch, toy_layout
        from ssl_platform.train.module import PretrainModule
        from ssl_platform.train.optim import OptimPlan
        from ssl_platform.views.maker import ViewMaker

        torch.manual_seed(0)
        backbone = backbone or small_backbone()
        if not prepared:
            objective.build(backbone, {})
        views = ViewsConfig(local_size=8)
        maker = ViewMaker(toy_layout(), objective.plan(objective.config), views, seed=0, window=(16, 16))
        module = PretrainModule(
            backbone,
            objective,
            maker,
            plan or OptimPlan(lr=1e-3, warmup=2),
            total=steps,
            batch=batch * accumulate,
            accumulate=accumulate,
            chunks=chunks,
        )
        before(module)

        class Endless:
            handed = 0

            def __iter__(self) -> Any:
                while True:
                    Endless.handed += 1
                    yield toy_batch(batch, start=(Endless.handed - 1) * batch)

        trainer = Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator="cpu",
            devices=1,
            accumulate_grad_batches=accumulate,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=plugins,
        )
        trainer.fit(module, train_dataloaders=Endless())
        module.handed = Endless.handed
        return module

    return fit
