"""`trainer.compile` compiles what does the work, whichever way an objective walks through the backbone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from ssl_platform.nn.block import Block
from ssl_platform.testing.objectives import small, small_backbone
from ssl_platform.train.compiled import compile_blocks


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo traces as always; what it traced runs as it is, without a compiler."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.parametrize("name", ["mae", "dino"])
def test_every_block_is_traced_and_the_weights_stay(name: str, traced: None, fit_module: Callable[..., Any]) -> None:
    def compile_all(module: Any) -> None:
        blocks = [m for part in (module.backbone, module.objective) for m in part.modules() if isinstance(m, Block)]
        assert compile_blocks(module.backbone, module.objective) == len(blocks) > 2
        assert all(block._compiled_call_impl is not None for block in blocks)

    plain = fit_module(small(name), steps=2).backbone.state_dict()
    compiled = fit_module(small(name), steps=2, before=compile_all).backbone.state_dict()
    assert counters["stats"]["unique_graphs"] > 0 and not counters["graph_break"]
    assert plain.keys() == compiled.keys()
    for key, value in plain.items():
        assert torch.allclose(value, compiled[key], atol=1e-6), key


def test_a_backbone_without_blocks_is_compiled_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_platform.nn.backbones import build
    from ssl_platform.testing.toy import toy_layout

    backbone = build("convnet-tiny", toy_layout(2), ("c0",), (16, 16), (4, 4))
    assert compile_blocks(backbone, torch.nn.Module()) == 1
    assert compile_blocks(small_backbone(), torch.nn.Module()) == 2


@pytest.mark.slow
def test_a_compiled_run_ends_where_a_plain_one_does(toy_run: Callable[..., Any]) -> None:
    plain, compiled = toy_run("mae", "plain"), toy_run("mae", "compiled", trainer__compile=True)
    assert compiled["loss"]["last"] == pytest.approx(plain["loss"]["last"], rel=1e-4)
