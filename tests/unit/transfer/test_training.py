"""The loop: which parameter learns how fast, what counts in a loss, and which weights are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest
import torch

from ssl_platform import encoder as encoder_files
from ssl_platform.errors import RunFailed
from ssl_platform.plan import Plan
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.parameter_groups import depth_of, parameter_groups
from ssl_platform.transfer.task import Task
from ssl_platform.transfer.task_loss import task_loss
from ssl_platform.transfer.training import History, Listeners, Recipe, train
from ssl_platform.types import Batch, PartBatch
from ssl_platform.views.maker import ViewMaker

CLASSES = Task("classification", ("a", "b"))
ONE = torch.ones(1)


def test_the_depth_of_parameters() -> None:
    vit = ["prefix", "tokenizer.w", "blocks.0.a", "blocks.0.b", "blocks.1.a", "blocks.10.a", "norm.weight"]
    assert list(depth_of(vit).values()) == [0, 0, 1, 1, 2, 3, 4]
    stages = ["stem.w", "stages.0.0.w", "stages.0.1.w", "stages.1.0.w"]
    assert list(depth_of(stages).values()) == [0, 1, 2, 3]
    assert set(depth_of(["a", "b"]).values()) == {1}


def test_learning_rates_fall_towards_the_input(toy_encoder: Callable[..., Path]) -> None:
    model = TransferModel(encoder_files.load_encoder(toy_encoder()).model, CLASSES)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = parameter_groups(model, layer_decay=0.5, weight_decay=0.1)
    scale = {names[id(p)]: g["lr_scale"] for g in groups for p in g["params"]}
    decay = {names[id(p)]: g["weight_decay"] for g in groups for p in g["params"]}
    assert scale["head.linear.weight"] == scale["backbone.norm.weight"] == 1.0
    block = next(name for name in scale if name.startswith("backbone.blocks.0.") and name.endswith("weight"))
    assert scale[block] == 0.5
    assert {v for n, v in scale.items() if n.startswith("backbone.tokenizer")} == {0.25}
    assert decay["head.linear.weight"] == 0.1 and decay["head.linear.bias"] == decay["backbone.norm.weight"] == 0.0
    assert len(scale) == len(names)


@pytest.mark.parametrize("kind", ["classification", "multi-label", "regression", "segmentation"])
def test_unknown_targets_count_nowhere(kind: str) -> None:
    shape = {"classification": (3,), "multi-label": (3,), "regression": (1,), "segmentation": (3, 4, 4)}[kind]
    output = torch.randn(5, *shape)
    if kind == "classification":
        target, unknown = torch.tensor([0, 2, 1, 1, 0]), -1
    elif kind == "segmentation":
        target, unknown = torch.randint(0, 3, (5, 4, 4)), -1
    else:
        target = torch.rand(5, *shape[:1] if kind == "multi-label" else ()).round()
        unknown = math.nan
    task = Task(kind, ("a", "b", "c"))  # type: ignore[arg-type]
    known = task_loss(task, output[:3], target[:3], ONE)
    hidden = target.clone()
    hidden[3:] = unknown
    torch.testing.assert_close(task_loss(task, output, hidden, ONE), known)
    assert not torch.isclose(task_loss(task, output, target, ONE), known)
    none = torch.full_like(hidden, unknown)
    assert torch.isfinite(task_loss(task, output, none, ONE))


def test_a_regression_loss_is_one_for_whoever_says_the_mean() -> None:
    target = torch.randn(4000).double() * 7 + 3
    loss = task_loss(Task("regression"), torch.full((4000, 1), 3.0), target, torch.tensor([7.0]))
    assert float(loss) == pytest.approx(1, abs=0.1)


def run(
    path: Path, steps: int, lr: float = 1e-2, nan: bool = False, **arguments: object
) -> tuple[TransferModel, History]:
    torch.manual_seed(0)
    model = TransferModel(encoder_files.load_encoder(path).model, CLASSES)
    label = torch.tensor([0, 1, 0, 1])
    data = torch.randn(4, 1, 16, 16, 16) + 3 * label.view(-1, 1, 1, 1, 1)
    part = PartBatch(data * (math.nan if nan else 1), None, None, torch.full((4, 3), 2.0), torch.zeros(4, 3), ("c0",))
    index = torch.arange(4)
    batch = Batch(({"main": part},), index, index, index, label=label)
    maker = ViewMaker(ToyDomain.layout, Plan.augmented(1), window=(16, 16, 16))
    recipe = Recipe(steps, lr, eval_every=2)
    listeners = Listeners(**arguments)  # type: ignore[arg-type]
    return model, train(model, repeat(batch), maker, recipe, device=torch.device("cpu"), listeners=listeners)


def test_the_weights_that_validated_best_are_kept(toy_encoder: Callable[..., Path]) -> None:
    path, values, seen, rows = toy_encoder(), iter([0.5, 0.9, math.nan, 0.9, 0.2]), [], []
    kept: dict[int, torch.Tensor] = {}

    def validate(model: TransferModel) -> float:
        assert not model.training
        seen.append(model.head.linear.weight.detach().clone())
        return next(values)

    model, history = run(
        path,
        10,
        validate=validate,
        improved=lambda model, step: kept.update({step: model.head.linear.weight.detach().clone()}),
        log=rows.append,
    )
    assert (history.best, history.best_step) == (0.9, 8)  # of equals the later one; nan is never better
    assert list(kept) == [2, 4, 8]
    assert torch.equal(model.head.linear.weight, seen[3]) and torch.equal(kept[8], seen[3])
    assert not torch.equal(seen[3], seen[4])
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert [row["step"] for row in rows if "validation" in row] == [2, 4, 6, 8, 10]
    assert history.last < 0.5 * history.first


def test_without_validation_the_last_weights_are_kept(toy_encoder: Callable[..., Path]) -> None:
    kept = []
    _, history = run(toy_encoder(), 3, improved=lambda model, step: kept.append(step))
    assert kept == [3] and history.best_step == 3 and math.isnan(history.best)


def test_a_loss_that_is_not_finite_ends_the_run(toy_encoder: Callable[..., Path]) -> None:
    with pytest.raises(RunFailed, match="step 1: the loss is not finite"):
        run(toy_encoder(), 5, nan=True)
