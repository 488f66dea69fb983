"""Cards 193 and 042 (the tokenizer's training is in test_vq_kd.py). What a probe gains is in the learning table."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.losses.codes import token_cross_entropy
from ssl_platform.masking.block import block_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.nn.codebook import Codebook
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.beit import BEiT
from ssl_platform.targets.codes import TokenCodes
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Channel, Features, Layout, Step, Tokens, View


def grid_tokens(batch: int, side: int) -> Tokens:
    axis = (torch.arange(side) + 0.5) / side
    coords = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, -1, 2).expand(batch, -1, -1)
    return Tokens(torch.zeros(batch, side * side, 1), coords, torch.ones(batch, 2), (side, side))


def test_masks_are_exact_blocks_and_the_same_under_a_seed() -> None:
    c, tokens = BEiT.Config(), grid_tokens(1000, 14)
    draw = lambda seed: block_masks(  # noqa: E731
        tokens, c.mask_ratio, Draws.at(seed, torch.arange(1000)), blocks=c.blocks, aspect=c.block_aspect
    ).masked.dense()
    masked = draw(0)
    assert (masked.sum(1) == 75).all() and 0.36 < 75 / 196 < 0.39
    assert torch.equal(masked, draw(0)) and not torch.equal(masked, draw(1))
    often = masked.float().mean(0)
    assert float((often - 75 / 196).abs().max()) < 5 * (0.25 / 1000) ** 0.5
    # In blocks most neighbours of a masked token are masked too; at random 38 % of them would be.
    cells = masked.view(-1, 14, 14)
    neighbours = torch.stack([cells.roll(s, a) for s in (1, -1) for a in (1, 2)]).float().mean(0)
    assert float(neighbours[cells].mean()) > 0.75


def test_the_start_costs_ln_v_and_only_masked_tokens_count() -> None:
    method, backbone = built("beit", prototypes=50)
    view = small_views(method, toy_batch(8))[0]
    loss = total_of(method(backbone, [view])).total.item()
    assert loss == pytest.approx(math.log(50), rel=0.02) and method.trivial(8) == pytest.approx(math.log(50))

    tokens = backbone.tokenize(view)
    masked = method.masked(view, tokens)
    codes, _ = method.codes(view, tokens)
    real = method.codes.forward
    elsewhere = torch.where(masked.dense(), codes, (codes + 7) % 50)
    method.codes.forward = lambda v, t: (elsewhere, real(v, t)[1])
    assert total_of(method(backbone, [view])).total.item() == loss

    hidden = masked.to((16, 16)).view(8, 1, 16, 16)
    predict = lambda v: method.prediction(backbone, backbone.tokenize(v), masked)[0]  # noqa: E731
    inside = view.replace(x=torch.where(hidden, view.x + 1.0, view.x))
    outside = view.replace(x=torch.where(hidden, view.x, view.x + 1.0))
    assert torch.equal(predict(view), predict(inside))
    assert not torch.equal(predict(view), predict(outside))


def test_cross_entropy_from_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    codes = torch.randint(0, 5, (2, 3), generator=generator)
    loss = token_cross_entropy(logits, codes)
    for b in range(2):
        for n in range(3):
            p = logits[b, n].exp() / logits[b, n].exp().sum()
            assert loss[b, n].item() == pytest.approx(-math.log(p[codes[b, n]]), rel=1e-9)


class PatchMeans(Backbone):
    """Tokens are means, spreads and extremes of patches, which turn with the image."""

    embed_dim = 4

    def forward(self, view, visible=None, taps=()):
        cells = view.x.double().unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)  # [B, 1, 4, 4, 16]
        tokens = torch.stack([cells.mean(-1), cells.std(-1), cells.amin(-1), cells.amax(-1)], -1)[:, 0].flatten(1, 2)
        coords = grid_tokens(len(view), 4).coords
        return Features(tokens.mean(1), tokens[:, :0], tokens, coords, None, (4, 4))


def test_codes_of_a_flipped_view_are_the_flipped_codes_and_other_grids_are_matched_by_place() -> None:
    codes = TokenCodes(Frozen(PatchMeans()), 6).double()
    view = View(toy_batch(16).reads[0]["main"].data)
    tokens = grid_tokens(16, 4)
    codes.learn(codes(view, tokens)[1].flatten(0, 1), 0.9)
    ids = codes(view, tokens)[0]
    flipped = codes(view.replace(x=view.x.flip(-1)), tokens)[0]
    assert torch.equal(flipped.view(-1, 4, 4), ids.view(-1, 4, 4).flip(-1)) and len(ids.unique()) > 1
    finer = codes(view, grid_tokens(16, 8))[0].view(-1, 8, 8)
    assert torch.equal(finer, ids.view(-1, 4, 4).repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_an_own_codebook_is_learnt_at_the_start_only() -> None:
    method, backbone = built("beit", codebook_time="2")
    rows = []
    for number in range(4):
        loss = total_of(method(backbone, small_views(method, toy_batch(8, start=8 * number))))
        method.after_step(Step(number, 10), backbone, [loss.watch], [])
        rows.append(method.codes.codebook.rows.clone())
    assert not torch.equal(rows[0], rows[1]) and torch.equal(rows[1], rows[3])


def test_the_encoder_equals_timms_beit_with_the_same_weights() -> None:
    """Layer scale and a mask token in place of masked patches; absolute positions, which timm's class also knows."""
    beit = pytest.importorskip("timm.models.beit")
    torch.manual_seed(0)
    layout = Layout("C H W", tuple(Channel(n) for n in "rgb"))
    net = build("vit-tiny", layout, tuple("rgb"), (32, 32), (8, 8), depth=2, pool="cls", layer_scale=0.1).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    other = beit.Beit(
        32, 8, embed_dim=192, depth=2, num_heads=3, init_values=0.1, use_abs_pos_emb=True, num_classes=0,
        global_pool="token",
    ).double()  # fmt: skip
    state = {}
    for name, value in net.blocks.state_dict().items():
        number, rest = name.split(".", 1)
        renamed = {"ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2"}.get(rest, rest)
        if rest == "attn.qkv.bias":
            value[192:384] = 0.0  # BEiT's keys have no bias
            state[f"blocks.{number}.attn.q_bias"], state[f"blocks.{number}.attn.v_bias"] = value[:192], value[384:]
        else:
            state[f"blocks.{number}.{renamed}"] = value
    kernel = net.tokenizer.embed.weight.view(192, 8, 8, 3)
    state |= {"patch_embed.proj.weight": kernel.permute(0, 3, 1, 2), "patch_embed.proj.bias": net.tokenizer.embed.bias}
    state |= {"norm.weight": net.norm.weight, "norm.bias": net.norm.bias, "cls_token": net.prefix[None]}
    view = View(torch.rand(3, 3, 32, 32, dtype=torch.float64), draws=Draws.at(0, torch.arange(3)))
    tokens = net.tokenize(view)
    table = net.positions(tokens.coords)
    state["pos_embed"] = torch.cat([torch.zeros(1, 1, 192, dtype=torch.float64), table], dim=1)
    missing, unexpected = other.load_state_dict(state, strict=False)
    assert not unexpected and all("k_bias" in name for name in missing), missing
    for module in other.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-6

    method = BEiT(BEiT.Config(prototypes=40))
    method.build(net, {"tokenizer": Frozen(small_backbone())})
    method.double()
    torch.nn.init.normal_(method.prediction.head.weight)
    masked = method.masked(view, tokens)
    logits, features = method.prediction(net, tokens, masked)

    def put(module, given, patches):
        return torch.where(masked.dense()[..., None], method.prediction.mask_token, patches)

    other.patch_embed.register_forward_hook(put)
    expected = other.eval().forward_features(view.x)
    torch.testing.assert_close(features.tokens, expected[:, 1:], atol=1e-9, rtol=1e-9)
    rows = torch.arange(3)[:, None]
    torch.testing.assert_close(logits, method.prediction.head(expected[rows, masked.index + 1]), atol=1e-8, rtol=1e-8)


def test_beit_v2_without_its_bottleneck_is_beit_and_the_bottleneck_reads_the_embedding() -> None:
    losses = []
    for name, settings in (("beit", {}), ("beit-v2", {"bottleneck_weight": 0.0})):
        method, backbone = built(name, **settings)
        torch.manual_seed(1)
        torch.nn.init.normal_(method.prediction.head.weight)
        losses.append(total_of(method(backbone, small_views(method, toy_batch(8)))).total.item())
    assert losses[0] == losses[1]

    method, backbone = built("beit-v2")
    torch.nn.init.normal_(method.prediction.head.weight)
    views = small_views(method, toy_batch(8))
    loss = total_of(method(backbone, views))
    assert loss.total.item() == pytest.approx(loss.terms["tokens"].item() + loss.terms["bottleneck"].item())
    embedding = loss.watch["embedding"]
    (through,) = torch.autograd.grad(loss.terms["bottleneck"], embedding, retain_graph=True)
    assert through.abs().sum() > 0
    assert torch.autograd.grad(loss.terms["tokens"], embedding, allow_unused=True)[0] is None


def test_the_early_layer_is_the_papers() -> None:
    net = build("vit-tiny", Layout("C H W", (Channel("v"),)), ("v",), (16, 16), (4, 4), depth=12)
    method = small("beit-v2")
    method.build(net, {"tokenizer": Frozen(small_backbone())})
    assert method.tap == "block.8"  # the ninth of twelve
    assert isinstance(method.codes.codebook, Codebook)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["beit", "beit-v2"])
def test_masked_codes_are_predicted_better_than_by_the_commonest_one(name: str) -> None:
    """On samples that were not trained on; codes of a tokenizer of random weights."""
    method, backbone = built(name, codebook_time="20")
    batches = lambda n: toy_batch(32, start=32 * n, items=512)  # noqa: E731
    fit(method, backbone, toy_layout(), batches, 200, window=(16, 16), lr=2e-3, build=False)
    view = small_views(method, toy_batch(256, start=10_000))[0]
    tokens = backbone.tokenize(view)
    masked = method.masked(view, tokens)
    with torch.no_grad():
        codes = masked.gather(method.codes(view, tokens)[0])
        found = method.prediction(backbone, tokens, masked)[0].argmax(-1)
    commonest = float(codes.flatten().bincount().max() / codes.numel())
    accuracy = float((found == codes).float().mean())
    assert accuracy > commonest + 0.05, (accuracy, commonest)
