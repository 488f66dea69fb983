"""Whole items: windows put together, and what is measured on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssl_platform.data.cache import Cache
from ssl_platform.plan import Plan
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer.dense_evaluation import dense_answer, foreground, item_metrics, segment
from ssl_platform.transfer.evaluation import together
from ssl_platform.transfer.task import Task
from ssl_platform.types import Metric, View
from ssl_platform.views.maker import ViewMaker


class Threshold(nn.Module):
    """Says class 1 where a cell is above a half."""

    task = Task("segmentation", ("0", "1"))

    def forward(self, view: View) -> Tensor:
        return torch.cat([torch.full_like(view.x, 0.5), view.x], 1) * 100


@pytest.mark.parametrize("shape", [(21, 16, 9), (30, 5, 17)])
def test_an_item_is_segmented_cell_by_cell(shape: tuple[int, ...], tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random(shape).astype(np.float32)
    np.save(tmp_path / "a.npy", volume)
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    (row,) = domain.scan(tmp_path / "a.npy")
    maker = ViewMaker(domain.layout, Plan.augmented(1), window=(12, 12, 12))
    found = segment(Threshold(), maker, domain, row, (12, 12, 12), device=torch.device("cpu"), batch_size=3)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, volume > 0.5)


def test_dice_of_each_class_where_cells_are_known() -> None:
    target = np.array([[0, 1, 1, 2], [0, -1, -1, 2]])
    told = np.array([[0, 1, 0, 2], [1, 1, 1, 2]])
    classes = foreground(("0", "a", "b"), (0, 5, 6))
    assert classes == {1: "a", 2: "b"}
    found = item_metrics(None, target, told, (1, 1), classes)
    counts = {"cells_both_a": 1, "cells_either_a": 3, "cells_both_b": 2, "cells_either_b": 2}
    assert found == {"dice": 0.75, "dice_a": 0.5, "dice_b": 1.0, **counts}
    alone = item_metrics(None, target, told, (1, 1), {1: "a"})
    assert alone == {"dice": 0.5, "cells_both_a": 1, "cells_either_a": 3}
    absent = item_metrics(None, np.zeros((2, 2)), np.zeros((2, 2)), (1, 1), {1: "a"})
    assert np.isnan(absent["dice"])


def test_means_leave_out_what_is_not_defined_and_resample_groups() -> None:
    items = [{"dice": 0.2, "hd95": 4.0}, {"dice": 0.4, "hd95": np.nan}, {"dice": 0.9, "hd95": 2.0}]
    found = metrics_of(items, ["p", "p", "q"])
    assert found["dice"].value == pytest.approx(0.5) and found["hd95"].value == 3.0
    low, high = found["dice"].ci95 or (0, 0)
    assert low == pytest.approx(0.3) and high == pytest.approx(0.9)  # the two groups alone
    assert metrics_of(items, ["p"] * 3)["dice"].ci95 is None


def test_mean_iou_is_that_of_all_cells_together() -> None:
    """Four items of unlike size; the cells of all of them in one row give the same figure."""
    draw = np.random.default_rng(0)
    pairs = [(draw.integers(-1, 4, n), draw.integers(0, 3, n)) for n in (5, 40, 200, 8)]
    classes = {0: "a", 1: "b", 2: "c", 3: "d", 4: "nowhere"}
    found = metrics_of([item_metrics(None, t, p, (1,), classes) for t, p in pairs], list("wxyz"))
    target, told = (np.concatenate([pair[end] for pair in pairs]) for end in (0, 1))
    for number, name in list(classes.items())[:4]:
        one, other = target[target >= 0] == number, told[target >= 0] == number
        assert found[f"iou_{name}"].value == pytest.approx((one & other).sum() / (one | other).sum())
    assert found["miou"].value == pytest.approx(np.mean([found[f"iou_{name}"].value for name in "abcd"]))
    assert np.isnan(found["iou_nowhere"].value)
    low, high = found["miou"].ci95 or (0, 0)
    assert low < found["miou"].value < high


def metrics_of(items: list[dict[str, float]], groups: list[str]) -> dict[str, Metric]:
    return together([dense_answer(items, groups, groups)], {}).metrics
