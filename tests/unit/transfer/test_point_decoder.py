"""From tokens to points: interpolation against a loop, and labels that follow the points of a view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.data.collate import collate
from ssl_platform.nn.backbones import build
from ssl_platform.plan import Plan
from ssl_platform.transfer.dense_evaluation import foreground, points_together
from ssl_platform.transfer.dense_labels import carry_point_labels
from ssl_platform.transfer.masks import UNKNOWN
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.point_decoder import interpolate
from ssl_platform.transfer.task import Task
from ssl_platform.types import Channel, Layout, Part, Sample, View, Window
from ssl_platform.views.maker import ViewMaker

LAYOUT = Layout(
    axes="N C",
    channels=tuple(Channel(name, "m") for name in "xyz"),
    symmetries=frozenset({"rotate:XY", "scale", "cutout", "noise"}),
)


def test_interpolation_weighs_three_centres_by_inverse_squared_distance() -> None:
    torch.manual_seed(0)
    points, centres, values = torch.rand(2, 9, 3), torch.rand(2, 7, 3), torch.randn(2, 7, 5)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[1, 3:5] = False
    found = interpolate(points, centres, values, valid)
    for b in range(2):
        for n in range(9):
            apart = ((points[b, n] - centres[b]) ** 2).sum(-1)
            near = sorted((float(d), g) for g, d in enumerate(apart) if valid[b, g])[:3]
            weight = np.array([1 / (d + 1e-8) for d, _ in near])
            expected = sum(w * values[b, g] for w, (_, g) in zip(weight / weight.sum(), near, strict=True))
            assert torch.allclose(found[b, n], expected, atol=1e-5)
    assert torch.allclose(interpolate(centres[:1], centres[:1], values[:1]), values[:1], atol=1e-4)
    two = torch.tensor([[True, True, *[False] * 5]])
    assert interpolate(points[:1], centres[:1], values[:1], two).isfinite().all()


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_labels_follow_points_that_are_turned_cropped_dropped_and_shaken(strength: float) -> None:
    rng = np.random.default_rng(0)
    samples = []
    for i in range(3):
        xyz = rng.normal(size=(300, 3)).astype(np.float32) + 5 * i
        label = (xyz[:, 2:] > xyz[:, 2].mean()).astype(np.int16)  # turning about z keeps it
        valid = np.arange(300) < 280
        samples.append(Sample(i, ({"main": Part(xyz, valid, tuple("xyz")), "mask": Part(label, valid, ("mask",))},)))
    batch = collate(samples, LAYOUT)
    config = ViewsConfig(global_size=[128], rotate=180.0, strength=strength)
    maker = ViewMaker(LAYOUT, Plan.augmented(1), config, (), 0, window=(300,))
    (view,) = maker(batch)
    parts = batch.reads[0]
    found = carry_point_labels(parts["mask"], parts["main"], view, UNKNOWN)
    assert found.shape == view.x.shape[:2] and view.valid is not None
    assert (found[~view.valid] == UNKNOWN).all()
    height = view.geometry.to_source(view.x / view.spacing[:, None] + 0.5)[..., 2]
    middle = torch.tensor([part.reads[0]["main"].data[:, 2].mean() for part in samples])
    right = (found == (height > middle[:, None]).long())[view.valid]
    assert right.float().mean() == 1 if strength == 0 else right.float().mean() > 0.97


def test_every_point_is_predicted_whatever_their_order() -> None:
    torch.manual_seed(0)
    backbone = build("vit-pico", LAYOUT, ("x", "y", "z"), (64,), (8,), depth=1)
    model = TransferModel(backbone, Task("segmentation", ("a", "b", "c")), width=2).eval()
    view = View(x=torch.randn(2, 64, 3), channels=tuple("xyz"), valid=torch.arange(64)[None].expand(2, -1) < 60)
    with torch.no_grad():
        found = model(view)
        order = torch.randperm(64)
        other = model(view.replace(x=view.x[:, order], valid=view.valid[:, order]))
    assert found.shape == (2, 3, 64)
    assert torch.allclose(found[:, :, order], other, atol=1e-4)


def test_windows_of_points_are_averaged_where_they_overlap() -> None:
    answers = {0: torch.tensor([[2.0, 0, 0, 0], [0, 1, 1, 1]]), 2: torch.tensor([[3.0, 0, 0, 9], [0, 0, 1, 0]])}

    def logits(windows: list[Window]) -> torch.Tensor:
        return torch.stack([answers[w.start[0]] for w in windows])

    found = points_together(logits, [Window((0,), (4,)), Window((2,), (4,))], 5, 2, 1)
    assert found.tolist() == [0, 1, 0, 1, 1]  # cell 2 is torn: 1 against 3; beyond the fifth nothing counts
    assert foreground(("a", "b"), (0, 4)) == {1: "b"} and foreground(("a", "b"), (0, 4), True) == {0: "a", 1: "b"}
