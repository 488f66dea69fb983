"""The four recipes of views of card 070, from full augmentation to crops alone.

That their gap shrinks as data grows (the card's ablation table) is a matter of long runs and is not tested here.
"""

from __future__ import annotations

import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.plan import Plan
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, make, small, small_backbone
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Channel, Layout
from ssl_platform.views.maker import ViewMaker

AXES = {1: "C T", 2: "C H W", 3: "C D H W"}
RECIPES = ("original", "shared", "crop-resize", "crop")


def layout_of(rank: int) -> Layout:
    last = AXES[rank].split()[-1]
    symmetries = {f"flip:{last}", "scale", "gain", "offset", "gamma", "blur", "noise", "cutout", "channel-drop"}
    return Layout(AXES[rank], (Channel("c0"),), "mm", frozenset(symmetries))


def maker_of(recipe: str, rank: int = 2, **settings: object) -> ViewMaker:
    config = ViewsConfig(recipe=recipe, global_size=12, local_size=8, zoom=True, **settings)
    return ViewMaker(layout_of(rank), Plan.multi_crop(2), config, seed=0, window=(16,) * rank)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_crop_only_copies_cells_and_calls_no_operation(rank: int) -> None:
    """Every cell of a view is the cell of the data at the place its geometry names; nothing was drawn but places."""
    batch = toy_batch(4, rank)
    data = batch.reads[0]["main"].data
    for view in maker_of("crop", rank)(batch):
        assert {name.split(".")[0] for name in view.params} == {"crop"}  # parameters are named by their operation
        assert not view.params["crop.flip"].any()
        size = view.x.shape[2:]
        centres = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in size], indexing="ij")
        points = torch.stack(centres, -1).reshape(1, -1, rank).expand(4, -1, -1)
        place = view.geometry.to_source(points).floor().long()
        cells = data[torch.arange(4)[:, None], 0, *place.unbind(-1)]
        assert torch.equal(view.x.flatten(1), cells)


def test_crop_resize_scales_and_does_nothing_else() -> None:
    views = maker_of("crop-resize")(toy_batch(16))
    assert {name.split(".")[0] for view in views for name in view.params} == {"crop"}
    assert views[0].spacing.unique().numel() > 4  # scales differ
    matrix = views[0].geometry.matrix
    assert (matrix.diagonal(dim1=1, dim2=2) > 0).all()  # nothing is flipped


def test_shared_draws_intensities_once_a_sample() -> None:
    shared, original = (maker_of(recipe)(toy_batch(16)) for recipe in ("shared", "original"))
    for name in ("gain.factor", "gamma.exponent"):
        first = shared[0].params[name]
        assert all(torch.equal(view.params[name], first) for view in shared)
        assert not all(torch.equal(view.params[name], original[0].params[name]) for view in original)
    assert shared[0].params["gain.factor"].unique().numel() > 4  # samples differ
    assert not torch.equal(shared[0].geometry.offset, shared[1].geometry.offset)  # crops differ


def test_switching_the_recipe_changes_no_crop_of_the_scaled_ones() -> None:
    original, bare = (maker_of(recipe, off=["flip"])(toy_batch(8)) for recipe in ("original", "crop-resize"))
    for a, b in zip(original, bare, strict=True):
        assert torch.equal(a.geometry.matrix, b.geometry.matrix) and torch.equal(a.geometry.offset, b.geometry.offset)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_short_run_of_each_does_not_collapse(recipe: str) -> None:
    torch.manual_seed(0)
    method, backbone = small("dino", prototypes=24, freeze_last_layer="0"), small_backbone()
    make(method, backbone)
    done = fit(
        method,
        backbone,
        layout_of(2),
        lambda n: toy_batch(8, start=8 * n, items=ITEMS),
        8,
        window=(16, 16),
        views=ViewsConfig(recipe=recipe, local_size=8),
        build=False,
    )
    probs = done.last.watch["teacher_probs"]
    assert float(-(probs * probs.clamp_min(1e-12).log()).sum(-1).mean()) > 0.1
    assert float(done.last.watch["embedding"].std(0).mean()) > 1e-3
