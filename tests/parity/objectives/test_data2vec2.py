"""Card 084. "Collapse raises" is the health monitor's call here: its verdicts are tested in tests/e2e."""

import math

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.draws import Draws
from ssl_platform.losses.latent import instance_normalised, scaled_square_error
from ssl_platform.masking.inverse_block import inverse_block_sets
from ssl_platform.nn.backbones import build
from ssl_platform.nn.conv_decoder import ConvDecoder, TokenConv
from ssl_platform.objectives.base import total_of
from ssl_platform.targets.layers import last_ffn, mean_of_layers
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, small, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Mask, Step, Tokens


def of_set(mask: Mask, number: int) -> Mask:
    return Mask(mask.index[:, number : number + 1], mask.total, None, mask.grid)


def parts(method, backbone, view):
    tokens, c = backbone.tokenize(view), method.config
    masks = inverse_block_sets(tokens, c.mask_ratio, view.random, sets=c.masks, side=c.block, adjust=c.adjust)
    noise = c.noise * view.random.normal("noise", tokens.count, backbone.embed_dim).to(view.x.dtype)
    return tokens, masks, noise


def test_masks_one_by_one_give_the_same_loss_and_gradient() -> None:
    method, backbone = built("data2vec2", masks=2)
    method.double(), backbone.double()
    view = small_views(method, toy_batch(4))[0]
    view = view.replace(x=view.x.double())
    tokens, (visible, masked), noise = parts(method, backbone, view)
    target, _ = method.target(view)
    parameters = [p for p in (*backbone.parameters(), *method.decoder.parameters()) if p.requires_grad]

    def gradient(loss):
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    together, _ = method.regress(backbone, tokens, visible, masked, target, noise)
    single = [
        method.regress(backbone, tokens, of_set(visible, m), of_set(masked, m), target, noise)[0] for m in range(2)
    ]
    torch.testing.assert_close(together, torch.cat(single, dim=1))
    for a, b in zip(gradient(together.sum()), gradient(sum(s.sum() for s in single)), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-10)


def test_the_loss_from_its_formulas() -> None:
    """Targets and error with explicit loops, from the teacher's feed-forward outputs and the decoder's predictions."""
    method, backbone = built("data2vec2", masks=2, layers=2)
    method.double(), backbone.double()
    view = small_views(method, toy_batch(3))[0]
    view = view.replace(x=view.x.double())
    tokens, (visible, masked), noise = parts(method, backbone, view)
    teacher, d = method.teacher.backbone, backbone.embed_dim
    full = teacher.encode(teacher.tokenize(view), taps=("block.0.ffn", "block.1.ffn"))
    everywhere = method.decoder(backbone.encode(tokens, visible), visible, tokens, noise)
    error = count = 0.0
    means = []
    for b in range(3):
        mean = 0.0
        for layer in range(2):
            y = full.taps[f"block.{layer}.ffn"][b, 1:]
            mean = mean + (y - y.mean(0)) / (y.var(0, correction=0) + 1e-5).sqrt() / 2
        y = (mean - mean.mean(1, keepdim=True)) / (mean.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        means.append(y.mean(0))
        for m in range(2):
            for n in masked.index[b, m].tolist():
                error += float((everywhere[2 * b + m, n] - y[n]).square().sum().detach()) / math.sqrt(d)
                count += 1
    prefix = backbone.encode(tokens, visible).prefix[:, 0]
    cls = sum(float((prefix[i] - means[i // 2]).square().sum().detach()) / math.sqrt(d) for i in range(6)) / 6
    loss = total_of(method(backbone, [view]))
    assert loss.terms["regression"].item() == pytest.approx(error / count, rel=1e-9)
    assert loss.total.item() == pytest.approx(error / count + 0.01 * cls, rel=1e-9)


def test_a_single_layer_without_normalisation_is_the_last_feed_forward_output() -> None:
    method, backbone = built("data2vec2")
    view = small_views(method, toy_batch(4))[0]
    (name,) = last_ffn(1, backbone.depth)
    ffn = backbone(view, taps=(name,)).taps[name][:, 1:]
    assert torch.equal(mean_of_layers([ffn], normalise=False, final_norm=False), ffn)
    block = backbone.blocks[-1]
    seen = {}
    handle = block.mlp.register_forward_hook(lambda module, given, made: seen.update(made=made))
    backbone(view)
    handle.remove()
    assert torch.equal(seen["made"][:, 1:], ffn)
    assert last_ffn(10, 2) == ("block.-1.ffn", "block.-2.ffn")


def test_masked_inputs_have_no_gradient_and_only_kept_tokens_are_encoded() -> None:
    method, backbone = built("data2vec2", masks=1)
    view = small_views(method, toy_batch(4))[0]
    view = view.replace(x=view.x.requires_grad_())
    tokens, (visible, masked), noise = parts(method, backbone, view)
    target, _ = method.target(view)
    error, features = method.regress(backbone, tokens, visible, masked, target, noise)
    assert features.tokens.shape[1] == visible.index.shape[-1] == 3  # a fifth of 16
    error.sum().backward()
    hidden = Mask(masked.index[:, 0], 16, None, (4, 4)).to((16, 16)).view(4, 1, 16, 16)
    assert view.x.grad.where(hidden, 0.0).abs().max() == 0
    assert view.x.grad.where(~hidden, 0.0).abs().max() > 0


def grid_tokens(batch: int, side: int) -> Tokens:
    axis = (torch.arange(side) + 0.5) / side
    coords = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, -1, 2).expand(batch, -1, -1)
    return Tokens(torch.zeros(batch, side * side, 1), coords, torch.ones(batch, 2), (side, side))


def mean_piece(kept: torch.Tensor) -> float:
    """Mean size of the connected pieces of `[B, side, side]`, borders touching."""
    label = torch.where(kept, torch.arange(1, kept[0].numel() + 1).view(kept[0].shape).expand_as(kept), 0)
    for _ in range(kept[0].numel()):
        moved = [label.roll(shift, axis) for shift in (1, -1) for axis in (1, 2)]
        label = torch.where(kept, torch.stack([label, *moved]).amax(0), 0)
    pieces = sum(len(row[row > 0].unique()) for row in label)
    return float(kept.sum()) / pieces


def test_inverse_blocks_are_exact_contiguous_and_unlike_each_other() -> None:
    tokens, draws = grid_tokens(32, 14), Draws.at(0, torch.arange(32))
    visible, masked = inverse_block_sets(tokens, 0.8, draws, sets=4, side=3, adjust=0.07)
    assert visible.index.shape == (32, 4, 39) and masked.index.shape == (32, 4, 157)
    kept = visible.dense()
    assert (kept.sum(-1) == 39).all() and not (kept & masked.dense()).any()
    shuffled = kept[:, 0].gather(1, draws.permutation("shuffled", 196))
    assert mean_piece(kept[:, 0].view(-1, 14, 14)) > 3 * mean_piece(shuffled.view(-1, 14, 14))
    assert len({tuple(row.tolist()) for row in kept.flatten(0, 1).int()}) == 128


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_convolution_over_a_grid_is_torchs(rank: int) -> None:
    torch.manual_seed(0)
    layer = TokenConv(8, 8, rank, 3, 4)
    grid = (5, 4, 3)[:rank]
    x = torch.randn(2, math.prod(grid), 8)
    conv = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)[rank - 1](8, 8, 3, padding=1, groups=4)
    conv.weight.data, conv.bias.data = layer.weight.data.view_as(conv.weight), layer.bias.data
    y = conv(x.transpose(1, 2).view(2, 8, *grid)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(x, grid, None), F.gelu(F.layer_norm(y, (8,))) + x)


def test_a_set_is_decoded_whatever_the_order_of_its_tokens() -> None:
    torch.manual_seed(0)
    decoder = ConvDecoder(16, 16, 2, 3)
    coords, values = torch.rand(2, 12, 3), torch.randn(2, 4, 16)
    tokens = Tokens(torch.zeros(2, 12, 1), coords, torch.ones(2, 3))
    order = torch.randperm(12)
    moved = Tokens(tokens.values, coords[:, order], tokens.extent)
    place = torch.arange(4).expand(2, -1)
    where = order.argsort()[place]
    noise = torch.randn(2, 12, 16)

    class Encoded:
        tokens = values

    a = decoder(Encoded(), Mask(place, 12), tokens, noise)
    b = decoder(Encoded(), Mask(where, 12), moved, noise[:, order])
    torch.testing.assert_close(a[:, order], b, atol=1e-5, rtol=1e-5)


def test_normalisation_counts_valid_tokens_only() -> None:
    x, valid = torch.randn(2, 6, 4), torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6]).bool()
    y = instance_normalised(x, valid)
    torch.testing.assert_close(y[0, :4], instance_normalised(x[:1, :4])[0])
    assert y[0, 4:].abs().max() == 0
    torch.testing.assert_close(scaled_square_error(torch.zeros(3, 64), torch.ones(3, 64)), torch.full((3,), 8.0))


def test_momentum_rises_over_a_part_of_the_run_then_stands() -> None:
    method, backbone = built("data2vec2", momentum=0.9, final_momentum=0.99, momentum_rise="50%")
    seen = []
    method.teacher.update = lambda b, heads, momentum: seen.append(round(momentum, 6))
    for number in (0, 5, 10, 15):
        method.after_step(Step(number, 20), backbone, [], [])
    assert seen == [0.9, 0.945, 0.99, 0.99]


def test_it_trains_on_points() -> None:
    torch.manual_seed(0)
    layout = toy_layout(channels=1, points=True)
    backbone = build("vit-pico", layout, ("x", "y", "z"), (64,), (8,), depth=2)
    method = small("data2vec2")
    batches = lambda n: toy_batch(4, size=16, points=True)  # noqa: E731
    done = fit(method, backbone, layout, batches, 5, window=(64,), lr=5e-3)
    assert done.losses[-1] < done.losses[0]
