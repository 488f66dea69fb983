from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.losses.masked import normalised_patches
from ssl_platform.nn.backbones import build
from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.objectives.base import Export
from ssl_platform.report.reconstruction import can_reconstruct, pictures, reconstruct
from ssl_platform.report.render import render_default
from ssl_platform.types import Layout, View

VOLUME = Layout("C D H W")


def setup(layout: Layout, size: tuple[int, ...], patch: tuple[int, ...], channels: int = 1) -> tuple[Export, View]:
    torch.manual_seed(0)
    names = [f"c{i}" for i in range(channels)]
    backbone = build("vit-pico", layout, names, size, patch, depth=1, dim=32, heads=2)
    backbone.normaliser.set(torch.full((channels,), 50.0), torch.full((channels,), 10.0))  # type: ignore[operator]
    assert backbone.tokenizer is not None
    decoder = MaskedDecoder(32, backbone.tokenizer.target_dim, 32, 1, 2)
    x = 50 + 10 * torch.randn(3, channels, *size, generator=torch.Generator().manual_seed(1))
    view = View(x, channels=tuple(names), draws=Draws.at(0, torch.arange(3)), spacing=torch.ones(3, len(size)))
    return Export(backbone.eval(), {"decoder": decoder.eval()}), view


@pytest.mark.parametrize(
    ("layout", "size", "patch"), [(VOLUME, (8, 8, 8), (4, 4, 4)), (Layout("C H W"), (16, 16), (4, 4))]
)
def test_visible_cells_stay_and_the_right_share_is_masked(
    layout: Layout, size: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    export, view = setup(layout, size, patch, channels=2)
    assert can_reconstruct(export)
    filled, cells, error = reconstruct(export, view, 0.5)
    assert torch.equal(filled[~cells], view.x[~cells]) and not torch.equal(filled[cells], view.x[cells])
    assert cells.float().mean() == 0.5 and (cells[:, 0] == cells[:, 1]).all()
    assert error.shape == (3,) and (error > 0).all()
    blocks = cells[:, 0]
    for axis, width in enumerate(patch, 1):
        blocks = blocks.unflatten(axis, (-1, width)).any(axis + 1)
    assert blocks.float().mean() == 0.5, "whole patches are masked"


def test_a_perfect_prediction_brings_the_input_back() -> None:
    export, view = setup(VOLUME, (8, 8, 8), (4, 4, 4))
    content = normalised_patches(export.encoder.targets(view), None)
    coords = export.encoder.tokenize(view).coords

    class Knows(MaskedDecoder):
        def forward(self, features: object, places: torch.Tensor, **_: object) -> torch.Tensor:  # type: ignore[override]
            which = torch.cdist(places, coords).argmin(-1)
            return content.gather(1, which[..., None].expand(-1, -1, content.shape[-1]))

    knows = Export(export.encoder, {"decoder": Knows(32, content.shape[-1], 32, 1, 2)})
    filled, _, error = reconstruct(knows, view, 0.75)
    assert torch.allclose(filled, view.x, atol=0.05) and (error < 1e-4).all()


def test_invalid_cells_are_never_called_masked() -> None:
    export, view = setup(VOLUME, (8, 8, 8), (4, 4, 4))
    valid = torch.ones(3, 8, 8, 8, dtype=torch.bool)
    valid[:, :2] = False
    _, cells, error = reconstruct(export, view.replace(valid=valid), 0.75)
    assert not cells[:, 0][~valid].any() and error.isfinite().all()


def fixed_window(x: np.ndarray) -> np.ndarray:
    return np.asarray(((x[0, 4] - 20) / 60 * 255).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("render", [lambda x: render_default(x, VOLUME), fixed_window])
@pytest.mark.parametrize("whole", [False, True])
def test_masked_pixels_are_found_whatever_the_picture(render: Callable[[np.ndarray], np.ndarray], whole: bool) -> None:
    _, view = setup(VOLUME, (8, 8, 8), (4, 4, 4))
    cells = torch.zeros_like(view.x, dtype=torch.bool)
    cells[:, :, 4:, : 8 if whole else 4] = True  # the middle slice: half of it, or all
    made = pictures(view, view.x, cells, torch.ones(3), ["a", "b", "c"], lambda x, _: render(x), 64)
    for one in made:
        hidden = one.visible[:8, :8, -1] == 0
        assert hidden[:4].all() and hidden[4:].all() == whole and hidden[4:].any() == whole
        assert np.array_equal(one.filled, one.input)


def test_what_has_no_decoder_or_no_grid_is_left_alone() -> None:
    export, _ = setup(VOLUME, (8, 8, 8), (4, 4, 4))
    assert not can_reconstruct(Export(export.encoder))
