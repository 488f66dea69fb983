"""The four paths against each other, against closed forms, and against invalid values."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.views.crop_rule import CropRule
from ssl_platform.views.crops import draw
from ssl_platform.views.interpolation import blur
from ssl_platform.views.resample import _any_plane, resample

B = 5
DRAWS = Draws.at(3, torch.arange(B))


def spacing(rank):
    return torch.tensor([1.5, 1.0, 1.0]).expand(B, 3)[:, :rank]


def rule(rank, size, path):
    cells = (size,) * rank
    scaled = (path != "whole",) * rank
    quarters = ((rank - 2, rank - 1),) if rank > 1 and path != "any" else ()
    planes = {"one": ((rank - 2, rank - 1),), "any": ((0, 1), (1, 2))}.get(path, ())
    return CropRule(cells, (0.3, 0.9), scaled, tuple(range(rank)), quarters, planes, 40.0)


def ramp(rank, window, step):
    """`[B, S, *window]`: each channel is the physical coordinate of the cell centre along one axis."""
    axes = [torch.arange(n) + 0.5 for n in window]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return grid[None] * step.view(B, rank, *(1,) * rank)


def centres(size):
    """`[N, S]` view coordinates of the cell centres."""
    axes = [(torch.arange(n) + 0.5) / n for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, len(size))


CASES = [(1, "whole"), (1, "aligned")] + [(r, p) for r in (2, 3) for p in ("whole", "aligned", "one")] + [(3, "any")]


@pytest.mark.parametrize(("rank", "path"), CASES)
def test_geometry_replays_to_the_same_values(rank, path):
    window = (14, 12, 13)[:rank]
    crops = [draw(rule(rank, 7, path), DRAWS.child(str(v)), window, window, spacing(rank)) for v in range(2)]
    x, _ = resample(ramp(rank, window, spacing(rank)), None, crops, (7,) * rank, 0.0, None)
    for v, crop in enumerate(crops):
        place = crop.geometry(spacing(rank), torch.zeros(B, rank), torch.arange(B))
        expected = place.to_source(centres((7,) * rank).expand(B, -1, -1)).transpose(1, 2)
        # beyond the outermost cell centres the ramp goes flat
        least = (0.5 * spacing(rank))[..., None]
        largest = ((torch.tensor(window) - 0.5) * spacing(rank))[..., None]
        expected = expected.clamp(least, largest)
        found = x[v * B : (v + 1) * B].flatten(2)
        # anti-aliasing reaches past the edge, where linear interpolation does not
        inner = ((expected > 2 * least + 1) & (expected < largest - 2)).all(1, keepdim=True).expand_as(found)
        torch.testing.assert_close(found[inner], expected[inner], atol=2e-4, rtol=0)
        assert inner.float().mean() > 0.1


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_whole_cells_are_bit_exact(rank):
    window = (9, 8, 10)[:rank]
    plain = CropRule((6,) * rank, scaled=(False,) * rank)
    x = torch.randn(B, 2, *window)
    crop = draw(plain, DRAWS, window, window, spacing(rank))
    y, mask = resample(x, None, [crop], (6,) * rank, 0.0, None)
    start = (crop.centre - 3).long()
    for b in range(B):
        box = tuple(slice(s, s + 6) for s in start[b].tolist())
        assert y[b].equal(x[b][(slice(None), *box)])
    assert mask is None


def test_flips_and_quarter_turns_are_exact():
    x = torch.randn(B, 2, 6, 6, 6)
    whole = CropRule((6, 6, 6), scaled=(False,) * 3, flips=(0, 2), quarters=((0, 1), (1, 2)))
    draws = Draws.at(0, torch.arange(B))
    for path in (whole, CropRule((6, 6, 6), (1.0, 1.0), (True,) * 3, (0, 2), ((0, 1), (1, 2)))):
        crop = draw(path, draws, (6, 6, 6), (6, 6, 6), torch.ones(B, 3))
        y, _ = resample(x, None, [crop], (6, 6, 6), 0.0, None)
        for b in range(B):
            expected = x[b].flip([a + 1 for a in range(3) if crop.params["crop.flip"][b, a]])
            for (i, j), turn in zip(path.quarters, crop.params["crop.quarter"][b].int().tolist(), strict=True):
                expected = expected.rot90(-turn, (i + 1, j + 1))
            assert y[b].equal(expected), b


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_separable_path_is_the_affine_path(rank):
    window = (11, 12, 13)[:rank]
    enlarging = CropRule((16,) * rank, (0.3, 0.9), (True,) * rank, tuple(range(rank)))
    crop = draw(enlarging, DRAWS, window, window, spacing(rank))
    x = torch.randn(B, 2, *window)
    y, _ = resample(x, None, [crop], (16,) * rank, 0.0, None)
    torch.testing.assert_close(y, _any_plane(x, crop, (16,) * rank), atol=1e-5, rtol=0)


@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2)])
def test_the_plane_path_is_the_affine_path(plane):
    turned = CropRule((16, 16, 16), (0.3, 0.9), (True,) * 3, (0, 1), planes=(plane,), degrees=40)
    crop = draw(turned, DRAWS, (11, 12, 13), (11, 12, 13), spacing(3))
    x = torch.randn(B, 2, 11, 12, 13)
    y, _ = resample(x, None, [crop], (16, 16, 16), 0.0, None)
    torch.testing.assert_close(y, _any_plane(x, crop, (16, 16, 16)), atol=2e-5, rtol=0)


def test_rotation_by_a_right_angle_is_rot90():
    x = torch.randn(B, 1, 9, 9)
    turned = CropRule((9, 9), (1.0, 1.0), (True, True), planes=((0, 1),), degrees=1.0)
    crop = draw(turned, DRAWS, (9, 9), (9, 9), torch.ones(B, 2))
    right = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).expand(B, -1, -1)
    crop.rotation, crop.base, crop.centre = right, torch.full((B, 2), 9.0), torch.full((B, 2), 4.5)
    y, _ = resample(x, None, [crop], (9, 9), 0.0, None)
    torch.testing.assert_close(y, x.rot90(-1, (2, 3)), atol=1e-5, rtol=0)


def test_a_known_angle_moves_a_spot_where_it_should():
    angle = math.radians(30)
    y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
    spot = torch.exp(-((y - 10) ** 2 + x**2) / 8)[None, None].expand(B, 1, -1, -1)  # at (10, 0)
    turned = CropRule((41, 41), (1.0, 1.0), (True, True), planes=((0, 1),), degrees=1.0)
    crop = draw(turned, DRAWS, (41, 41), (41, 41), torch.ones(B, 2))
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    crop.rotation, crop.base, crop.centre = (
        rotation.expand(B, -1, -1),
        torch.full((B, 2), 41.0),
        torch.full((B, 2), 20.5),
    )
    seen, _ = resample(spot, None, [crop], (41, 41), 0.0, None)
    weight = seen[0, 0] / seen[0, 0].sum()
    # source = R u, so the spot appears at R^T (10, 0)
    assert abs((weight * y).sum() - 10 * math.cos(angle)) < 0.05
    assert abs((weight * x).sum() + 10 * math.sin(angle)) < 0.05


@pytest.mark.parametrize(("rank", "path"), CASES)
def test_invalid_values_change_nothing(rank, path):
    window = (14, 12, 13)[:rank]
    valid = torch.rand(B, *window, generator=torch.Generator().manual_seed(0)) < 0.93
    x = torch.randn(B, 2, *window)
    crops = [draw(rule(rank, 7, path), DRAWS.child(str(v)), window, window, spacing(rank)) for v in range(2)]
    sigma = torch.full((2 * B, rank), 0.8)
    results = [
        resample(torch.where(valid[:, None], x, junk), valid, crops, (7,) * rank, -5.0, sigma) for junk in (0.0, 1e3)
    ]
    (y, mask), (other, same) = results
    assert mask.equal(same)
    if path == "whole":  # the rest clears invalid cells before it gets here
        keep = mask[:, None].expand_as(y)
        torch.testing.assert_close(y[keep], other[keep], atol=0, rtol=0)
    assert (y.transpose(0, 1)[:, ~mask] == -5.0).all()


@pytest.mark.parametrize(("rank", "path"), CASES)
def test_a_constant_stays_constant_and_only_pure_cells_are_valid(rank, path):
    window = (14, 12, 13)[:rank]
    valid = torch.ones(B, *window, dtype=torch.bool)
    valid[:, : window[0] // 2] = False
    x = torch.where(valid[:, None], torch.full((B, 1, *window), 3.0), 0.0)
    crop = draw(rule(rank, 9, path), DRAWS, window, window, spacing(rank))
    y, mask = resample(x, valid, [crop], (9,) * rank, 0.0, torch.full((B, rank), 1.0))
    torch.testing.assert_close(y[mask[:, None]], torch.full_like(y[mask[:, None]], 3.0))
    place = crop.geometry(torch.ones(B, rank), torch.zeros(B, rank), torch.arange(B))
    along = place.to_source(centres((9,) * rank).expand(B, -1, -1))[..., 0]
    width = (crop.matrix.abs().amax((1, 2)) / 9).clamp(min=1)[:, None]
    edge, flat = window[0] // 2, mask.flatten(1)
    if path in ("whole", "aligned"):
        assert not (flat & (along < edge + 0.5 - 1e-3) & (along > 1)).any() or path == "whole"
    assert flat[along > edge + 0.5 + width].all() and not flat[along < edge - 0.01].any()


def test_beyond_the_window_is_invalid():
    x = torch.randn(B, 1, 6, 10)
    crop = draw(CropRule((8, 8), scaled=(False, False), centred=True), DRAWS, (6, 10), (6, 10), torch.ones(B, 2))
    y, mask = resample(x, None, [crop], (8, 8), -7.0, None)
    assert not mask[:, 0].any() and not mask[:, 7].any() and mask[:, 1:7].all()
    assert y[:, :, 1:7].equal(x[..., 1:9]) and (y[:, :, 0] == -7).all()


@pytest.mark.parametrize(("rank", "path"), CASES)
def test_blur_on_the_way_is_blur_afterwards(rank, path):
    window = (14, 12, 13)[:rank]
    crop = draw(rule(rank, 7, path), DRAWS, window, window, spacing(rank))
    x, sigma = torch.randn(B, 2, *window), torch.rand(B, rank) * torch.tensor([1.0, 0.0, 2.0])[:rank]
    plain, _ = resample(x, None, [crop], (7,) * rank, 0.0, None)
    fused, _ = resample(x, None, [crop], (7,) * rank, 0.0, sigma)
    torch.testing.assert_close(fused, blur(plain, None, sigma), atol=1e-5, rtol=0)


def test_views_of_one_pass_are_those_of_single_passes():
    x = torch.randn(B, 3, 12, 12, 12)
    for path in ("whole", "aligned", "one", "any"):
        crops = [draw(rule(3, 7, path), DRAWS.child(str(v)), (12,) * 3, (12,) * 3, torch.ones(B, 3)) for v in range(3)]
        together, _ = resample(x, None, crops, (7, 7, 7), 0.0, None)
        alone = torch.cat([resample(x, None, [crop], (7, 7, 7), 0.0, None)[0] for crop in crops])
        torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
