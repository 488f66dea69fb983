"""Heads of memories and queues, as published and with the batch statistics that `scale=auto` gives small runs."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.nn.norm import GlobalBatchNorm
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.load import load_objective
from ssl_platform.testing.objectives import ITEMS, built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.train.scale import RunSize, shrink


@pytest.mark.parametrize("name", ["moco-v2", "mochi", "instdisc", "pirl"])
def test_small_runs_get_batch_statistics_in_the_head(name: str) -> None:
    published, _ = built(name)
    assert not any(isinstance(m, GlobalBatchNorm) for m in published.projector)
    config = RunConfig(objective={"name": name})
    shrink(config, load_objective(name).Config().model_dump(), RunSize(640, 32, 500, 96, 3, False))
    assert config.objective["head_norm"] == "batch"

    method, backbone = built(name, head_norm="batch")
    plan = method.plan(method.config)
    assert plan.batch_coupled and plan.min_batch == 2
    views = small_views(method, toy_batch(8, items=ITEMS))
    assert total_of(method(backbone, views)).total.isfinite()
    out = method.projector(torch.randn(8, backbone.embed_dim) + 100.0)  # a large part that all samples share drops out
    torch.testing.assert_close(out.mean(0), torch.zeros_like(out[0]), atol=1e-3, rtol=0)
