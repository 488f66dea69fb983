"""Card 161, PixPro. What dense tasks gain over BYOL is not shown at toy size: see docs/acceptance.md."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.losses.dense import place_consistency
from ssl_platform.nn.matching import place_distance
from ssl_platform.nn.patches import patch_coords
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.dense.pixpro import PixelPropagation
from ssl_platform.testing.objectives import ITEMS, built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Features, Geometry, View, Views

SQUARE = ((16.0, 0.0), (0.0, 16.0))


def placed(matrix: tuple[tuple[float, ...], ...] = SQUARE, offset: tuple[float, ...] = (0.0, 0.0)) -> Geometry:
    """Geometry of one sample."""
    return Geometry(torch.tensor([matrix]), torch.tensor([offset]), torch.zeros(1, dtype=torch.int64))


def positive(a: Geometry, b: Geometry, threshold: float = 0.7) -> Tensor:
    """`[16, 16]` pairs of tokens of two views of 4 x 4 tokens."""
    x = torch.zeros(1, 1, 16, 16)
    tokens = torch.zeros(1, 16, 1)
    features = Features(tokens[:, 0], tokens[:, :0], tokens, patch_coords((16, 16), (4, 4), x), None, (4, 4))
    return (place_distance(View(x, geometry=a), features, View(x, geometry=b), features) < threshold)[0]


def test_identical_views_with_orthonormal_cells_give_minus_four() -> None:
    near = positive(placed(), placed())
    assert torch.equal(near, torch.eye(16).bool()), "a neighbour is at 0.707"
    cells = torch.eye(16, dtype=torch.float64)[None]
    y = PixelPropagation(16, layers=0).double()(cells)
    torch.testing.assert_close(y, cells)
    assert float(2 * place_consistency(y, cells, near[None])) == -4


def test_disjoint_crops_give_zero_and_no_gradient() -> None:
    near = positive(placed(), placed(offset=(100.0, 0.0)))
    assert not near.any()
    x = torch.randn(1, 16, 4, requires_grad=True)
    loss = place_consistency(x, torch.randn(1, 16, 4), near[None])
    loss.backward()
    assert float(loss) == 0 and x.grad is not None and not x.grad.any()


def test_a_flip_permutes_the_mask_and_exchange_transposes_it() -> None:
    crop, flipped = placed(((7.0, 0.0), (0.0, 9.0)), (3.0, 4.0)), placed(((7.0, 0.0), (0.0, -9.0)), (3.0, 13.0))
    near = positive(placed(), crop)
    mirrored = torch.arange(16).view(4, 4).flip(1).flatten()
    assert 0 < int(near.sum()) < 256
    assert torch.equal(positive(placed(), flipped), near[:, mirrored])
    assert torch.equal(positive(crop, placed()), near.T)
    assert torch.equal(positive(crop, crop, 1e-6), torch.eye(16).bool())


def test_the_loss_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    x, other = (torch.randn(2, n, 3, generator=generator, dtype=torch.float64) for n in (4, 5))
    near = torch.rand(2, 4, 5, generator=generator) < 0.4
    near[1] = False
    near[1, 2, 3] = True
    module = PixelPropagation(3, gamma=2.0, layers=1).double()
    y, total = module(x), torch.zeros((), dtype=torch.float64)
    for b in range(2):
        moved = torch.stack([F.normalize(module.transform[0](x[b, j]), dim=0) for j in range(4)])
        found = []
        for i in range(4):
            cosines = [float(F.cosine_similarity(x[b, i], x[b, j], dim=0)) for j in range(4)]
            by_hand = sum(max(c, 0.0) ** 2 * moved[j] for j, c in enumerate(cosines))
            torch.testing.assert_close(y[b, i], by_hand)
            found += [F.cosine_similarity(by_hand, other[b, j], dim=0) for j in range(5) if near[b, i, j]]
        total = total - 2 * torch.stack(found).mean() / 2
    torch.testing.assert_close(place_consistency(y, other, near), total)


def test_propagation_leaves_out_invalid_tokens() -> None:
    module = PixelPropagation(6, layers=0)
    x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[1, 0, 1, 1, 0]] * 2).bool()
    torch.testing.assert_close(module(x, valid)[:, [0, 2, 3]], module(x[:, [0, 2, 3]]))


@pytest.mark.parametrize("settings", [{}, {"instance_weight": 1.0}, {"transform_layers": 2}])
def test_no_gradient_reaches_the_teacher_and_the_order_of_samples_does_not_matter(settings: dict[str, float]) -> None:
    method, backbone = built("pixpro", **settings)
    views = small_views(method, toy_batch(8, items=ITEMS))
    loss = total_of(method(backbone, views))
    loss.total.backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert -4 <= float(loss.terms["pixel"].detach()) <= 4 and float(loss.terms["pairs"]) > 0
    if settings.get("instance_weight"):
        torch.testing.assert_close(loss.total, loss.terms["pixel"] + loss.terms["instance"])
    order = torch.tensor([3, 1, 0, 7, 6, 2, 5, 4])
    shuffled = Views([_reordered(view, order) for view in views])
    torch.testing.assert_close(total_of(method(backbone, shuffled)).total, loss.total)


def _reordered(view: View, order: Tensor) -> View:
    assert view.geometry is not None and view.spacing is not None
    geometry = Geometry(view.geometry.matrix[order], view.geometry.offset[order], view.geometry.item[order])
    valid = None if view.valid is None else view.valid[order]
    return view.replace(x=view.x[order], valid=valid, geometry=geometry, spacing=view.spacing[order], draws=None)
