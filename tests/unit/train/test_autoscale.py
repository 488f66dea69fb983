"""Automatic values: rules, limits, and that what somebody asked for is never touched."""

from __future__ import annotations

import pytest

from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError
from ssl_platform.objectives.load import load_objective
from ssl_platform.train import autoscale, optim_defaults
from ssl_platform.train.autoscale import Machine
from ssl_platform.train.scale import RunSize, shrink

CPU = Machine("cpu", 1, 2)
MAE, SimCLR, DINO = (load_objective(name) for name in ("mae", "simclr", "dino"))
GPU = Machine("cuda", 4, 8, 80 * 2**30, True)


def test_cpu_run_is_small_and_says_why() -> None:
    config = RunConfig()
    lines = autoscale.batch_size(config, 1000, (48, 48, 48), CPU) + autoscale.steps_and_machine(config, 1000, CPU)
    assert (config.data.batch_size, config.trainer.max_steps) == (16, 500)
    assert config.data.workers == 0 and config.trainer.precision == "32"
    assert [line.split("=")[0] for line in lines] == [
        "data.batch_size",
        "trainer.max_steps",
        "data.workers",
        "trainer.precision",
    ]
    assert all("(" in line for line in lines)
    compared = RunConfig()
    autoscale.batch_size(compared, 1000, (48, 48, 48), CPU)
    autoscale.steps_and_machine(compared, 1000, CPU, views=2)
    assert compared.trainer.max_steps == 250


def test_gpu_run_fills_memory_by_processes_and_few_items_bound_it() -> None:
    config = RunConfig()
    autoscale.batch_size(config, 100_000, (96, 96, 96), GPU)
    autoscale.steps_and_machine(config, 100_000, GPU)
    batch = config.data.batch_size
    assert isinstance(batch, int) and batch % 4 == 0 and 64 <= batch <= autoscale.LARGEST_BATCH
    assert config.trainer.precision == "bf16-mixed" and config.data.workers == 7
    assert config.trainer.max_steps == 100 * 100_000 // batch
    few = RunConfig()
    autoscale.batch_size(few, 40, (96, 96, 96), GPU)
    assert few.data.batch_size == 8


def test_few_large_items_are_told_how_to_fill_a_batch() -> None:
    def line(shapes: list[tuple[int, ...]]) -> str:
        return autoscale.batch_size(RunConfig(), 13, (1024,), CPU, shapes)[0]

    assert line([(9_000,), (14_500,), (17_000,)]).endswith(
        "(a quarter of 13 windows; items hold several: data.windows_per_item=14 reads more of them in a pass, "
        "in larger batches)"
    )
    assert line([(90_000,)] * 3).count("windows_per_item=16 ") == 1
    assert line([(1_100,)] * 13).endswith("(a quarter of 13 windows)")


def test_given_values_stay() -> None:
    config = RunConfig(data={"batch_size": 12, "accumulate": 3}, trainer={"max_steps": 7, "precision": "64"})
    assert not autoscale.batch_size(config, 1000, (48,) * 3, CPU)
    lines = autoscale.steps_and_machine(config, 1000, CPU)
    assert [line.split("=")[0] for line in lines] == ["data.workers"]
    with pytest.raises(ConfigError, match=r"use data.batch_size=12"):
        autoscale.batch_size(RunConfig(data={"batch_size": 13, "accumulate": 3}), 1000, (48,) * 3, CPU)


def test_learning_rate_follows_batch_and_width() -> None:
    rates = {}
    for batch, width in ((16, 384), (64, 384), (64, 96)):
        config = RunConfig()
        optim_defaults.optimiser(config, MAE, batch, width, convnet=False)
        rates[batch, width] = config.optim.lr
    assert rates[64, 384] == pytest.approx(2 * rates[16, 384], rel=1e-2)
    assert rates[64, 96] == pytest.approx(4 * rates[64, 384], rel=1e-2)
    config = RunConfig()
    lines = optim_defaults.optimiser(config, MAE, 64, 384, convnet=False, steps=500)
    assert config.optim.lr == pytest.approx(2 * rates[64, 384], rel=1e-2) and "500 steps" in lines[1]
    config = RunConfig(optim={"name": "sgd"})
    optim_defaults.optimiser(config, SimCLR, 512, 512, convnet=True)
    assert config.optim.lr == pytest.approx(0.1)
    config = RunConfig()
    optim_defaults.optimiser(config, SimCLR, 2048, 512, convnet=True)
    assert config.optim.name == "lars"


def test_raised_decay_only_where_the_paper_raises_it() -> None:
    config = RunConfig()
    optim_defaults.optimiser(config, DINO, 64, 384, convnet=False)
    plan = optim_defaults.plan_of(config, "distillation", 100, 10)
    assert plan.weight_decay_at(0, 100) == pytest.approx(0.04) and plan.weight_decay_at(100, 100) == pytest.approx(0.4)
    config = RunConfig(optim={"weight_decay": 0.1})
    optim_defaults.optimiser(config, DINO, 64, 384, convnet=False)
    assert optim_defaults.plan_of(config, "distillation", 100, 10).weight_decay_at(0, 100) == 0.1


PAPER = {"proj_dims": (8192, 8192), "prototypes": 65536, "queue": 3840, "decoder_dim": 512, "decoder_heads": 16}
SMALL = RunSize(windows=84, batch=8, steps=500, embed_dim=128, depth=4, gpu=False)


def test_shrinks_to_the_run_and_prints_each_rule() -> None:
    config = RunConfig(objective={"name": "x", **PAPER})
    lines = shrink(config, PAPER, SMALL)
    found = {k: config.objective[k] for k in PAPER}
    assert found == {
        "proj_dims": [512, 512],
        "prototypes": 64,
        "queue": 40,
        "decoder_dim": 128,
        "decoder_heads": 4,
    }
    assert len(lines) == len(PAPER) and "paper 65536" in lines[1] and "84 windows" in lines[1]


def test_narrow_encoders_go_faster_less_so_with_a_memory_and_not_with_a_teacher() -> None:
    def rate(name: str, width: int) -> float:
        config = RunConfig(objective={"name": name})
        optim_defaults.optimiser(config, load_objective(name), 256, width, convnet=False)
        assert config.optim.lr != "auto"
        return config.optim.lr

    assert rate("simclr", 96) == pytest.approx(4 * rate("simclr", 384), rel=0.01)
    for name in ("moco-v2", "mochi", "instdisc", "pirl", "nnclr"):
        assert rate(name, 96) == pytest.approx(2 * rate(name, 384), rel=0.01)
    assert rate("byol", 96) == rate("byol", 384)
    assert rate("pixpro", 384) == rate("densecl", 96) == rate("swav", 96)


def test_a_short_run_gets_a_quick_sharp_teacher_and_a_normed_head() -> None:
    paper = {"momentum": 0.996, "teacher_temperature": (0.04, 0.07), "head_norm": None, "bottleneck": 256}
    paper["freeze_last_layer"] = "1ep"
    config = RunConfig(objective={"name": "x", **paper})
    assert len(shrink(config, paper, SMALL)) == len(paper)
    assert {k: config.objective[k] for k in paper} == {
        "momentum": 0.92,
        "teacher_temperature": [0.03, 0.03],
        "head_norm": "batch",
        "bottleneck": 64,
        "freeze_last_layer": "100%",
    }


def test_a_rule_of_one_objective_holds_inside_a_combination_too() -> None:
    run = RunSize(windows=768, batch=32, steps=500, embed_dim=96, depth=3, gpu=False)
    alone = RunConfig(objective={"name": "capi"})
    shrink(alone, {"prototypes": 16384}, run)
    both = RunConfig(objective={"name": "multi"})
    shrink(both, {"settings": {"capi": {"prototypes": 16384}, "swav": {"prototypes": 3000}}}, run)
    assert alone.objective["prototypes"] == both.objective["settings"]["capi"]["prototypes"] == 16
    assert both.objective["settings"]["swav"]["prototypes"] == 256


def test_only_downwards_never_for_paper_never_what_was_asked() -> None:
    large = RunSize(windows=10**7, batch=4096, steps=10**6, embed_dim=4096, depth=40, gpu=True)
    assert shrink(RunConfig(objective={"name": "x", **PAPER}), PAPER, large) == []
    assert shrink(RunConfig(objective={"name": "x", **PAPER}, scale="paper"), PAPER, SMALL) == []
    asked = RunConfig(objective={"name": "x", **PAPER})
    asked._sources["objective.prototypes"] = "override"
    shrink(asked, PAPER, SMALL)
    assert asked.objective["prototypes"] == 65536 and asked.objective["decoder_dim"] == 128
