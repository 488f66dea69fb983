import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.multi_block import multi_block_masks
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbones import build
from ssl_platform.nn.sizes import SIZES
from ssl_platform.types import Channel, Layout, Mask, Tokens, View

AXES = {1: "C T", 2: "C H W", 3: "C D H W"}


def layout(rank, channels=1):
    return Layout(AXES[rank], tuple(Channel(f"c{i}") for i in range(channels)))


def vit(rank=2, channels=1, size=None, patch=None, **settings):
    torch.manual_seed(0)
    names = tuple(f"c{i}" for i in range(channels))
    made = build(
        "vit-pico", layout(rank, channels), names, size or (8,) * rank, patch or (4,) * rank, **{"depth": 2, **settings}
    )
    return made.eval()


def view(rank=2, channels=1, batch=3, side=8, seed=1):
    g = torch.Generator().manual_seed(seed)
    return View(torch.randn(batch, channels, *(side,) * rank, generator=g), draws=Draws.at(0, torch.arange(batch)))


@pytest.mark.parametrize("name", SIZES)
def test_every_size_has_its_width_depth_and_heads(name):
    with torch.device("meta"):
        net = build(f"vit-{name}", layout(2, 3), ("c0", "c1", "c2"), (224, 224), (16, 16))
    size = SIZES[name]
    assert len(net.blocks) == size.depth and net.embed_dim == size.dim
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    expected = {"pico": 0.9, "nano": 2.6, "tiny": 5.5, "small": 21.6, "base": 85.7, "large": 303, "huge": 631}[name]
    assert millions == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 5])
def test_any_rank_and_channels(rank, channels):
    net, v = vit(rank, channels, registers=2), view(rank, channels)
    out = net(v)
    assert out.pooled.shape == (3, 128) and out.prefix.shape == (3, 3, 128)
    assert out.tokens.shape == (3, 2**rank, 128) and out.coords.shape == (3, 2**rank, rank)
    assert out.grid == (2,) * rank and out.pyramid[0][0].shape == (3, 128, *(2,) * rank) and out.pyramid[0][1] == 4
    torch.testing.assert_close(out.pyramid[0][0].flatten(2).transpose(1, 2), out.tokens)


def test_all_tokens_visible_is_the_whole_view():
    net, v = vit(), view()
    tokens = net.tokenize(v)
    order = torch.tensor([[2, 0, 3, 1], [0, 1, 2, 3], [3, 2, 1, 0]])
    whole, part = net.encode(tokens), net.encode(tokens, Mask(order, 4))
    torch.testing.assert_close(part.pooled, whole.pooled, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(part.tokens, Mask(order, 4).gather(whole.tokens), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(part.coords, Mask(order, 4).gather(whole.coords))
    assert part.grid is None


def test_permuting_tokens_with_their_coordinates_permutes_the_output():
    net, v = vit(), view()
    tokens = net.tokenize(v)
    p = torch.tensor([3, 1, 0, 2])
    moved = Tokens(tokens.values[:, p], tokens.coords[:, p], tokens.extent)
    torch.testing.assert_close(net.encode(moved).tokens, net.encode(tokens).tokens[:, p], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("policy", ["random", "multi-block"])
def test_masked_content_is_not_seen(rank, policy):
    side = {1: 64, 2: 24, 3: 12}[rank]
    net, v = vit(rank, size=(side,) * rank), view(rank, side=side)
    tokens = net.tokenize(v)
    if policy == "random":
        visible, masked = random_masks(tokens, 0.5, v.random)
    else:
        visible, masked = multi_block_masks(tokens, v.random)
    hidden = masked.to((side,) * rank)
    hidden = (hidden if hidden.ndim == 2 else hidden.any(1)).view(3, 1, *(side,) * rank)
    other = v.replace(x=torch.where(hidden, 100.0, v.x))
    a, b = (net.encode(net.tokenize(x), visible) for x in (v, other))
    assert torch.equal(a.tokens, b.tokens) and torch.equal(a.pooled, b.pooled)
    assert not torch.equal(net(v).pooled, net(other).pooled), "control: the whole view sees it"


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("cls", [0, 1])
def test_invalid_cells_change_nothing(pool, cls):
    if pool == "cls" and not cls:
        with pytest.raises(ConfigError, match=r"backbone\.cls=1"):
            vit(pool=pool, cls=cls)
        return
    net, v = vit(size=(16, 16), pool=pool, cls=cls), view(side=16)
    valid = torch.ones(3, 16, 16, dtype=torch.bool)
    valid[0, :, 6:], valid[1] = False, False
    a = net(v.replace(valid=valid))
    b = net(v.replace(valid=valid, x=torch.where(valid[:, None], v.x, torch.nan)))
    assert torch.equal(a.pooled, b.pooled) and torch.equal(a.tokens, b.tokens)
    assert torch.isfinite(a.pooled).all() and (a.tokens[1] == 0).all()
    if pool == "mean":
        assert (a.pooled[1] == 0).all()
    torch.testing.assert_close(a.pooled[2], net(v).pooled[2], atol=1e-5, rtol=1e-5)


def test_invalid_tokens_are_as_good_as_absent():
    net, v = vit(size=(16, 16)), view(side=16, batch=1)
    valid = torch.ones(1, 16, 16, dtype=torch.bool)
    valid[:, 8:] = False
    tokens = net.tokenize(v.replace(valid=valid))
    without = Tokens(tokens.values[:, :8], tokens.coords[:, :8], tokens.extent)
    torch.testing.assert_close(net.encode(tokens).pooled, net.encode(without).pooled, atol=1e-5, rtol=1e-5)


def test_padding_of_a_short_mask_is_invisible():
    net, v = vit(size=(16, 16)), view(side=16, batch=2)
    tokens = net.tokenize(v)
    valid = torch.tensor([[True, True, True], [True, False, False]])
    a = net.encode(tokens, Mask(torch.tensor([[1, 2, 3], [5, 0, 0]]), 16, valid))
    b = net.encode(tokens, Mask(torch.tensor([[1, 2, 3], [5, 9, 8]]), 16, valid))
    exact = net.encode(tokens, Mask(torch.tensor([[7], [5]]), 16))
    assert torch.equal(a.pooled, b.pooled)
    torch.testing.assert_close(a.pooled[1], exact.pooled[1], atol=1e-5, rtol=1e-5)


def test_several_masks_share_the_tokens():
    net, v = vit(), view()
    tokens = net.tokenize(v)
    index = torch.tensor([[[0, 1], [2, 3]]]).expand(3, -1, -1)
    both = net.encode(tokens, Mask(index, 4))
    for m in range(2):
        one = net.encode(tokens, Mask(index[:, m], 4))
        torch.testing.assert_close(both.tokens[m::2], one.tokens, atol=1e-5, rtol=1e-5)


def test_replaced_tokens_keep_their_place():
    net, v = vit(), view()
    tokens, token = net.tokenize(v), torch.zeros(128, requires_grad=True)
    mask = Mask(torch.tensor([[1], [0], [3]]), 4, grid=(2, 2))
    a = net.encode(tokens, replaced=mask, mask_token=token)
    hidden = mask.to((8, 8)).view(3, 1, 8, 8)
    b = net.encode(net.tokenize(v.replace(x=v.x + 9.0 * hidden)), replaced=mask, mask_token=token)
    assert torch.equal(a.tokens, b.tokens) and a.tokens.shape[1] == 4
    a.pooled.sum().backward()
    assert token.grad.abs().sum() > 0
    places = [
        net.encode(tokens, replaced=Mask(torch.tensor([[i]] * 3), 4), mask_token=token).tokens[:, i] for i in (0, 1)
    ]
    assert not torch.allclose(*places)


def test_taps_are_what_their_names_say():
    net, v = vit(registers=1), view()
    names = ("block.0", "block.-1", "block.1.k", "block.1.attention", "block.0.ffn", "block.0.attn")
    out = net(v, taps=names)
    assert tuple(sorted(out.taps)) == tuple(sorted(names))
    n = 2 + 4
    assert out.taps["block.1.k"].shape == (3, n, 128) and out.taps["block.1.attention"].shape == (3, 4, n, n)
    torch.testing.assert_close(out.taps["block.1.attention"].sum(-1), torch.ones(3, 4, n))
    torch.testing.assert_close(net.norm(out.taps["block.-1"])[:, 2:], out.tokens)
    x = torch.cat(
        [net.prefix.expand(3, -1, -1), net.tokenizer.embed_values(net.tokenize(v).values) + net.positions(out.coords)],
        dim=1,
    )
    torch.testing.assert_close(x + out.taps["block.0.attn"] + out.taps["block.0.ffn"], out.taps["block.0"])
    # The recorded weights are those the fused kernel used.
    block = net.blocks[1]
    normed = block.norm1(out.taps["block.0"])
    value = block.attn.qkv(normed)[..., 256:].view(3, n, 4, 32).transpose(1, 2)
    mixed = (out.taps["block.1.attention"] @ value).transpose(1, 2).reshape(3, n, 128)
    torch.testing.assert_close(block.attn.proj(mixed), block.attn(normed), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["block.2", "block.-3.k", "blocks.1", "block.0.keys"])
def test_unknown_tap(name):
    with pytest.raises(ConfigError, match="no intermediate output"):
        vit()(view(), taps=(name,))


def test_attention_mask_limits_who_sees_whom():
    net, v = vit(depth=1, cls=0), view()
    tokens = net.tokenize(v)
    alone = torch.eye(4, dtype=torch.bool)[None]
    a = net.encode(tokens, attn_mask=alone).tokens
    changed = Tokens(tokens.values.clone(), tokens.coords, tokens.extent)
    changed.values[:, 0] += 1
    b = net.encode(changed, attn_mask=alone).tokens
    assert torch.equal(a[:, 1:], b[:, 1:]) and not torch.equal(a[:, 0], b[:, 0])


def test_other_grids_need_no_change():
    net = vit(rank=3, size=(8, 8, 8))
    assert net(view(3, side=12)).tokens.shape[1] == 27
    uneven = View(torch.randn(1, 1, 9, 8, 8))
    assert net(uneven).grid == (3, 2, 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype):
    net, v = vit(), view()
    made = net.to(dtype)(v.replace(x=v.x.to(dtype)))
    assert made.pooled.dtype == dtype
    reference = vit()(v).pooled
    torch.testing.assert_close(made.pooled.float(), reference, atol=5e-2 if dtype == torch.bfloat16 else 1e-5, rtol=0)


def test_autocast_keeps_the_residual_stream_wide():
    net, v = vit(cls=0), view()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(v, taps=("block.0",))
    assert out.taps["block.0"].dtype == torch.float32


def test_drop_path_and_layer_scale():
    net, v = vit(drop_path=0.9, layer_scale=0.0, cls=0), view(batch=16)
    x = net.tokenizer.embed_values(net.tokenize(v).values) + net.positions(net.tokenize(v).coords)
    torch.testing.assert_close(net(v).tokens, net.norm(x))  # a layer scale of 0 leaves the identity
    net = vit(drop_path=0.5, depth=2).train()
    torch.manual_seed(0)
    out = net(view(batch=16).replace(x=view(batch=1).x.expand(16, -1, -1, -1)), taps=("block.0", "block.1"))
    assert (out.taps["block.0"][0] == out.taps["block.0"]).all(), "the rate rises from 0 at the first block"
    assert len(out.taps["block.1"].mean((1, 2)).unique()) > 1
    net.eval()
    assert torch.equal(net(v).pooled, net(v).pooled)
