"""Label propagation, J, F and PCK."""

import numpy as np
import pytest
import torch

from ssl_platform.errors import DataError
from ssl_platform.nn.backbones import build
from ssl_platform_video.domain import Video
from ssl_platform_video.follow import follow_masks, follow_points
from ssl_platform_video.mask_pictures import read_masks
from ssl_platform_video.propagation import Propagation, masks_of, points_of, propagate
from ssl_platform_video.tracking import contour, j_and_f, outline, pck, region


def moving(frames=6, size=10, side=3, step=1):
    """A square that moves right, as orthogonal features and as mask."""
    masks = torch.zeros(frames, size, size, dtype=torch.int64)
    for t in range(frames):
        masks[t, 2 : 2 + side, step * t : step * t + side] = 1
    return masks, torch.nn.functional.one_hot(masks, 2).permute(0, 3, 1, 2).float()


def test_labels_follow_features_that_tell_objects_apart():
    masks, features = moving()
    found = propagate(features, features[0], Propagation(context=3, neighbours=5, radius=2))
    torch.testing.assert_close(found.sum(1), torch.ones(6, 10, 10))
    assert found.argmax(1).equal(masks)
    assert masks_of(found, (20, 20)).shape == (6, 20, 20)


def test_a_permutation_of_unlike_cells_is_recovered():
    torch.manual_seed(0)
    cells = torch.linalg.qr(torch.randn(36, 36)).Q
    order = [torch.arange(36), *(torch.randperm(36) for _ in range(3))]
    features = torch.stack([cells[o].T.unflatten(1, (6, 6)) for o in order])
    labels = torch.nn.functional.one_hot(torch.arange(36) % 4, 4).T.unflatten(1, (6, 6)).float()
    found = propagate(features, labels, Propagation(neighbours=1, radius=None)).argmax(1).flatten(1)
    assert all(found[t].equal(order[t] % 4) for t in range(4))


def test_the_radius_forbids_what_lies_far():
    features = torch.zeros(2, 2, 1, 8)
    features[:, 0] = 1.0
    features[0, :, 0, 0] = features[1, :, 0, 7] = torch.tensor([0.0, 1.0])  # jumps from one end to the other
    labels = torch.zeros(2, 1, 8)
    labels[0], labels[1, 0, 0], labels[0, 0, 0] = 1.0, 1.0, 0.0
    settings = {"neighbours": 1, "temperature": 0.01}
    assert propagate(features, labels, Propagation(radius=None, **settings))[1, 1, 0, 7] == 1
    assert propagate(features, labels, Propagation(radius=3, **settings))[1, 1, 0, 7] == 0


def test_only_the_first_and_the_latest_frames_are_looked_at():
    _, features = moving(8)
    settings = Propagation(context=2, neighbours=3, radius=None)
    found = propagate(features, features[0], settings)
    features[3] = torch.rand_like(features[3])  # beyond the context of frame 7, and not frame 7 itself
    shorter = torch.cat([features[:1], features[5:]])
    assert propagate(shorter, features[0], settings).shape[0] == 4 and found.shape[0] == 8


def test_heat_maps_give_places():
    maps = torch.zeros(1, 2, 4, 8)
    maps[0, 0, 1, 2] = maps[0, 1, 3, 7] = 1.0
    places = torch.tensor([[[0.375, 0.3125], [0.875, 0.9375]]])
    torch.testing.assert_close(points_of(maps), places)
    maps[0, 0] += 0.1 * torch.rand(4, 8)
    assert not torch.allclose(points_of(maps), places, atol=0.02)
    torch.testing.assert_close(points_of(maps, best=1), places)


def test_region_and_contour_of_known_masks():
    a = np.zeros((40, 40), bool)
    a[10:30, 10:30] = True
    assert region(a, a) == contour(a, a) == 1 and region(a, ~a) == 0 and region(~a & a, ~a & a) == 1
    moved = np.roll(a, 10, 1)
    assert region(a, moved) == pytest.approx(200 / 600)
    assert contour(a, moved) < 0.7 and contour(a, np.roll(a, 1, 1)) == 1  # one pixel is within 0.008 of the diagonal
    assert contour(a, a & ~a) == 0 and contour(a & ~a, a & ~a) == 1
    assert outline(a).sum() == pytest.approx(80, abs=2)


def test_scores_leave_out_the_first_and_the_last_frame():
    target = np.zeros((4, 20, 20), np.uint8)
    target[:, 5:10, 5:10], target[:, 12:16, 12:16] = 1, 2
    found = target.copy()
    found[0], found[-1] = 0, 0
    assert j_and_f(target, found) == {"j_and_f": 1.0, "j": 1.0, "f": 1.0}
    found[1:3][found[1:3] == 2] = 0
    assert j_and_f(target, found)["j"] == 0.5
    target[1:3, 12:16, 12:16] = 255  # unknown there: nothing is missed
    assert j_and_f(target, found)["j"] == 1.0
    assert np.isnan(j_and_f(target[:2], found[:2])["j"])


def test_points_within_a_fraction_of_the_size():
    target = np.zeros((3, 2, 2))
    found = target.copy()
    found[1, 0], found[2, 0], found[2, 1] = (0.5, 0), (1.5, 0), (9, 9)
    visible = np.ones((3, 2), bool)
    visible[2, 1] = False
    assert pck(target, found, visible, np.full(3, 10.0)) == {"pck@0.1": pytest.approx(2 / 3), "pck@0.2": 1.0}
    assert np.isnan(pck(target, found, np.zeros((3, 2), bool), np.ones(3))["pck@0.1"])


def test_an_encoder_follows_a_bright_square():
    torch.manual_seed(0)
    frames = np.full((5, 32, 32, 3), 40, np.uint8)
    masks = np.zeros((5, 32, 32), np.uint8)
    for t in range(5):
        frames[t, 8:16, 4 * t : 4 * t + 12], masks[t, 8:16, 4 * t : 4 * t + 12] = (250, 200, 30), 7
    net = build("vit-pico", Video.layout, ("red", "green", "blue"), (2, 32, 32), (2, 4, 4))
    net.normaliser.set(torch.full((3,), 80.0), torch.full((3,), 60.0))
    found, scores = follow_masks(net, frames, masks, clip=2, settings=Propagation(radius=3, neighbours=3))
    assert set(np.unique(found)) <= {0, 7} and np.array_equal(found[0], masks[0]) and 0 <= scores["j"] <= 1
    odd = follow_masks(net, frames[:, :30, :27], masks[:, :30, :27], clip=2, patch=(4, 4))[0]
    assert odd.shape == (5, 30, 27)
    corner = np.array([[8 / 32, 0.0], [12 / 32, 6 / 32]])
    places = follow_points(net, frames, corner, clip=2, settings=Propagation(radius=3, neighbours=3))
    assert (
        places.shape == (5, 2, 2) and np.array_equal(places[0], corner) and (places >= 0).all() and (places <= 1).all()
    )
    with pytest.raises(DataError, match="no object to follow"):
        follow_masks(net, frames, masks * 0, clip=2)
    with pytest.raises(DataError, match="do not belong"):
        follow_masks(net, frames, masks[:2], clip=2)


def test_masks_are_read_from_palette_pictures(tmp_path):
    from PIL import Image

    for number in range(2):
        picture = Image.fromarray(np.full((8, 8), number + 1, np.uint8), mode="P")
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        picture.save(tmp_path / f"{number:05d}.png")
    found = read_masks(tmp_path, (4, 6))
    assert found.shape == (2, 4, 6) and found[0].max() == 1 and found[1].min() == 2
