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
from ssl_platform.transfer.dense_evaluation import foreground, item_metrics, mean_metrics, segment
from ssl_platform.transfer.task import Task
from ssl_platform.types import View
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
    assert found == {"dice": 0.75, "dice_a": 0.5, "dice_b": 1.0}
    assert item_metrics(None, target, told, (1, 1), {1: "a"}) == {"dice": 0.5}
    absent = item_metrics(None, np.zeros((2, 2)), np.zeros((2, 2)), (1, 1), {1: "a"})
    assert np.isnan(absent["dice"])


def test_means_leave_out_what_is_not_defined_and_resample_groups() -> None:
    items = [{"dice": 0.2, "hd95": 4.0}, {"dice": 0.4, "hd95": np.nan}, {"dice": 0.9, "hd95": 2.0}]
    found = mean_metrics(items, ["p", "p", "q"])
    assert found["dice"].value == pytest.approx(0.5) and found["hd95"].value == 3.0
    low, high = found["dice"].ci95 or (0, 0)
    assert low == pytest.approx(0.3) and high == pytest.approx(0.9)  # the two groups alone
    assert mean_metrics(items, ["p"] * 3)["dice"].ci95 is None
