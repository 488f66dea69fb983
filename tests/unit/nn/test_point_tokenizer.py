import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbones import build
from ssl_platform.nn.point_groups import farthest_points, group_points, nearest_points
from ssl_platform.nn.point_tokenizer import PointTokenizer
from ssl_platform.types import Channel, Layout, View

LAYOUT = Layout("N C", tuple(Channel(n) for n in "xyz"))


def cloud(b=2, n=64, seed=0):
    return torch.randn(b, n, 3, generator=torch.Generator().manual_seed(seed))


def test_farthest_points_match_a_loop():
    xyz = cloud(3)
    index, gap = farthest_points(xyz, 10)
    for points, found in zip(xyz, index, strict=True):
        chosen = [int((points - points.mean(0)).square().sum(-1).argmax())]
        for _ in range(9):
            apart = (points[:, None] - points[chosen]).square().sum(-1).amin(1)
            chosen.append(int(apart.argmax()))
        assert found.tolist() == chosen
    assert (gap > 0).all()


def test_invalid_points_are_never_centres_nor_members():
    xyz, valid = cloud(2), torch.ones(2, 64, dtype=torch.bool)
    valid[0, 10:], valid[1] = False, False
    groups = group_points(xyz, 16, 8, valid)
    assert groups.valid.sum(1).tolist() == [10, 0], "ten real points make ten centres"
    assert groups.member[0].max() < 10
    moved = torch.where(valid[..., None], xyz, 77.0)
    tokenizer = PointTokenizer(3, 3, 16, 8, 24)
    a, b = (tokenizer(View(x, valid=valid)) for x in (xyz, moved))
    real = a.valid[..., None]
    assert torch.equal(a.values * real, b.values * real) and torch.equal(a.coords[0, :10], b.coords[0, :10])


def test_a_group_of_a_small_set_repeats_its_points():
    xyz, valid = cloud(1), torch.zeros(1, 64, dtype=torch.bool)
    valid[0, [3, 20, 41]] = True
    member = group_points(xyz, 4, 8, valid).member[0, 0].tolist()
    assert sorted(member[:3]) == [3, 20, 41] and member == (member[:3] * 3)[:8]
    one = xyz.expand(1, 64, 3) * 0 + 2
    tokens = PointTokenizer(3, 3, 4, 8, 24)(View(one, valid=torch.ones(1, 64, dtype=torch.bool)))
    assert tokens.valid.tolist() == [[True, False, False, False]] and tokens.values.isfinite().all()


def test_nearest_points_match_a_loop_far_from_the_origin():
    xyz, query = cloud(3).double() + 5e5, cloud(3, n=7, seed=1).double() + 5e5
    index, apart = nearest_points(query, xyz, 5)
    brute = (query[:, :, None] - xyz[:, None]).square().sum(-1).sqrt().sort(-1)
    assert torch.equal(index, brute.indices[..., :5])
    torch.testing.assert_close(apart, brute.values[..., :5], atol=1e-9, rtol=0)


def test_grouping_makes_the_host_wait_for_nothing():
    from ssl_platform.testing.sync import forbid_sync

    x, valid = cloud(), torch.ones(2, 64, dtype=torch.bool)
    with forbid_sync():
        group_points(x, 16, 8, valid)


def test_order_of_the_points_does_not_matter():
    tokenizer, x = PointTokenizer(3, 3, 16, 8, 24), cloud()
    shuffled = x[:, torch.randperm(64)]
    a, b = tokenizer(View(x)), tokenizer(View(shuffled))
    torch.testing.assert_close(a.values, b.values)
    torch.testing.assert_close(a.coords, b.coords)
    torch.testing.assert_close(tokenizer.targets(View(x)), tokenizer.targets(View(shuffled)))


def test_content_is_relative_and_coordinates_lie_in_the_unit_cube():
    tokenizer, x = PointTokenizer(3, 3, 16, 8, 24), cloud()
    a, b = tokenizer(View(x)), tokenizer(View(3 + x))
    torch.testing.assert_close(a.values, b.values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(a.coords, b.coords, atol=1e-4, rtol=1e-4)
    assert a.coords.min() >= -1e-6 and a.coords.max() <= 1 + 1e-6
    assert torch.isclose(a.coords.amax((1,)).amax(-1), torch.ones(2), atol=0.2).all()
    targets = tokenizer.targets(View(x)).view(2, 16, 8, 3)
    assert (targets[:, :, 0].abs() < 1e-6).all(), "the nearest point of a group is its centre"


def test_the_unit_of_length_does_not_matter_and_the_centre_costs_one():
    tokenizer, x = PointTokenizer(3, 3, 16, 8, 24), cloud()
    a, b = tokenizer(View(x)), tokenizer(View(1000 * x))
    torch.testing.assert_close(a.values, b.values)
    target = tokenizer.targets(View(x))
    torch.testing.assert_close(tokenizer.loss(torch.zeros_like(target), target).mean(1), torch.ones(2))


def test_tokens_change_less_with_the_number_of_points_than_from_set_to_set():
    torch.manual_seed(0)
    tokenizer = PointTokenizer(3, 3, 16, 8, 24)
    ball = torch.nn.functional.normalize(cloud(2, n=512), dim=-1) * torch.tensor([1.0, 0.5, 0.2])
    dense, thin = (tokenizer.embed_values(tokenizer(View(x)).values).mean(1) for x in (ball, ball[:, ::4]))
    assert (dense - thin).norm() < 0.2 * dense.norm()


def test_absent_features_are_known_to_be_absent():
    tokenizer = PointTokenizer(3, 5, 8, 8, 24)
    x = torch.cat([cloud(), torch.zeros(2, 64, 2)], dim=-1)
    there = torch.ones(2, 5, dtype=torch.bool)
    absent = there.clone()
    absent[1, 3:] = False
    plain, told, lost = (
        tokenizer.embed_values(tokenizer(View(x, channel_valid=kept)).values) for kept in (None, there, absent)
    )
    assert torch.equal(plain, told) and torch.equal(lost[0], plain[0])
    assert not torch.allclose(lost[1], plain[1], atol=1e-3)


def test_loss_forgets_the_order_inside_a_group_and_the_way_back_holds_the_points():
    tokenizer, view = PointTokenizer(3, 3, 16, 8, 24), View(cloud())
    target = tokenizer.targets(view)
    shuffled = target.view(2, 16, 8, 3).flip(2).flatten(2)
    assert tokenizer.loss(shuffled, target).shape == (2, 16) and (tokenizer.loss(shuffled, target) == 0).all()
    back = tokenizer.reconstruct(target, view)
    apart = (back[0, :, None] - view.x[0]).square().sum(-1).amin(1)
    assert back.shape == (2, 128, 3) and apart.max() < 1e-9


def test_features_beyond_coordinates_reach_the_tokens():
    tokenizer = PointTokenizer(3, 5, 8, 8, 24)
    x = torch.cat([cloud(), torch.randn(2, 64, 2)], dim=-1)
    y = x.clone()
    y[..., 3:] += 1
    assert not torch.allclose(tokenizer(View(x)).values, tokenizer(View(y)).values)
    assert tokenizer.target_dim == 24, "only coordinates are predicted"


def test_order_inside_a_group_does_not_matter_and_the_two_halves_are_one_layer():
    tokenizer = PointTokenizer(3, 3, 16, 8, 24)
    values = tokenizer(View(cloud())).values
    embedded = tokenizer.embed_values(values)
    assert embedded.shape == (2, 16, 24)
    shuffled = values.unflatten(-1, (8, 3))[:, :, torch.randperm(8)].flatten(2)
    torch.testing.assert_close(tokenizer.embed_values(shuffled), embedded)
    each = tokenizer.point(values.unflatten(-1, (8, 3)))
    pair = torch.cat([each.amax(2, keepdim=True).expand_as(each), each], -1)
    weight = torch.cat([tokenizer.whole.weight, tokenizer.each.weight], 1)
    published = tokenizer.joint(torch.nn.functional.linear(pair, weight, tokenizer.whole.bias)).amax(2)
    torch.testing.assert_close(published, embedded)


def test_vit_on_points_ignores_invalid_ones():
    torch.manual_seed(0)
    net = build("vit-pico", LAYOUT, ("x", "y", "z"), (64,), (8,), depth=1).eval()
    x, valid = cloud(), torch.ones(2, 64, dtype=torch.bool)
    valid[:, 40:] = False
    a = net(View(x, valid=valid)).pooled
    b = net(View(torch.where(valid[..., None], x, torch.nan), valid=valid)).pooled
    assert torch.equal(a, b)


def test_too_few_points():
    with pytest.raises(ConfigError, match=r"10 points cannot make 16 groups of 8: lower backbone\.groups"):
        PointTokenizer(3, 3, 16, 8, 24)(View(cloud(n=10)))
