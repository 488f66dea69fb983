"""Card 011. That nothing is reconstructed without the regressor is not shown at toy size: see docs/acceptance.md."""

import math

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.masking.block import block_masks
from ssl_platform.nn.latent_decoder import PlacedAttention
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Features


def masks(method, backbone, view):
    c, tokens = method.config, backbone.tokenize(view)
    return tokens, block_masks(tokens, c.mask_ratio, view.random, blocks=c.blocks, aspect=c.block_aspect)


def test_masked_cells_reach_only_the_alignment_target() -> None:
    method, backbone = built("cae")
    torch.nn.init.normal_(method.regressor.head.weight)
    view = small_views(method, toy_batch(4))[0]
    _, (visible, masked) = masks(method, backbone, view)
    assert visible.index.shape[1] == masked.index.shape[1] == 8
    hidden = masked.to((16, 16)).view(4, 1, 16, 16)
    changed = view.replace(x=torch.where(hidden, view.x + torch.randn_like(view.x), view.x))
    found = []
    for v in (view, changed):
        tokens = backbone.tokenize(v)
        seen, places = backbone.encode(tokens, visible), masked.gather(tokens.coords)
        latents = method.regressor(seen, places)
        found.append((seen.tokens, latents, method.regressor.decode(latents, places), backbone.encode(tokens, masked)))
    (a, z_a, logits_a, own_a), (b, z_b, logits_b, own_b) = found
    assert torch.equal(a, b) and torch.equal(z_a, z_b) and torch.equal(logits_a, logits_b)
    assert not torch.equal(own_a.tokens, own_b.tokens)


def test_alignment_teaches_regressor_and_encoder_but_not_through_its_target() -> None:
    method, backbone = built("cae")
    view = small_views(method, toy_batch(4))[0]
    tokens, (visible, masked) = masks(method, backbone, view)
    seen, places = backbone.encode(tokens, visible), masked.gather(tokens.coords)
    with torch.no_grad():
        own = backbone.encode(tokens, masked).tokens
    by_hand = (method.regressor(seen, places) - own).square().mean()
    term = total_of(method(backbone, [view])).terms["alignment"]
    torch.testing.assert_close(term, by_hand)
    parameters = [*backbone.parameters(), *method.regressor.blocks.parameters()]
    wanted = torch.autograd.grad(by_hand, parameters)
    for got, expected in zip(torch.autograd.grad(term, parameters), wanted, strict=True):
        torch.testing.assert_close(got, expected)
    assert all(g.abs().sum() > 0 for g in wanted[-3:]) and any(g.abs().sum() > 0 for g in wanted[:5])


def test_the_decoder_sees_the_latents_only() -> None:
    method, backbone = built("cae")
    torch.nn.init.normal_(method.regressor.head.weight)
    view = small_views(method, toy_batch(4))[0]
    tokens, (visible, masked) = masks(method, backbone, view)
    places = masked.gather(tokens.coords)
    latents = method.regressor(backbone.encode(tokens, visible), places).detach()
    decoded = method.regressor.decode(latents, places)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter)
    assert torch.equal(method.regressor.decode(latents, places), decoded)
    assert torch.autograd.grad(
        method.regressor.decode(latents, places).sum(), list(backbone.parameters()), allow_unused=True
    ) == (None,) * len(list(backbone.parameters()))


def test_the_regressor_from_its_formulas() -> None:
    """One block in float64 with explicit loops over heads and queries; values carry no places, prefix is not read."""
    method, backbone = built("cae", predictor_depth=1, decoder_heads=2)
    r = method.regressor.double()
    for parameter in r.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    d = backbone.embed_dim
    seen = torch.randn(1, 3, d, dtype=torch.float64)
    coords, places = torch.rand(1, 3, 2, dtype=torch.float64), torch.rand(1, 4, 2, dtype=torch.float64)
    prefix = torch.randn(1, 1, d, dtype=torch.float64)
    got = r(Features(seen[:, 0], prefix, seen, coords), places)[0]

    norm = lambda x, m: F.layer_norm(x, (d,), m.weight, m.bias, 1e-6)  # noqa: E731
    block, x = r.blocks[0], r.mask_token.expand(4, -1)
    at, seen_at = r.at(places)[0], r.at(coords)[0]
    memory, memory_at = torch.cat([seen[0], x]), torch.cat([seen_at, at])
    a: PlacedAttention = block.attn
    q, k, v = (
        a.q(norm(x + at, block.norm_q)),
        a.k(norm(memory + memory_at, block.norm_k)),
        a.v(norm(memory, block.norm_v)),
    )
    out = torch.zeros(4, d, dtype=torch.float64)
    for head in range(2):
        own = slice(head * d // 2, (head + 1) * d // 2)
        for i in range(4):
            weight = torch.stack([q[i, own] @ k[j, own] / math.sqrt(d // 2) for j in range(7)]).softmax(0)
            out[i, own] = sum(weight[j] * v[j, own] for j in range(7))
    x = norm(x + block.ls1.gamma * a.proj(out), block.norm)
    x = x + block.ls2.gamma * block.mlp.fc2(F.gelu(block.mlp.fc1(x)))
    torch.testing.assert_close(got, norm(x, r.norm))


def test_codes_of_a_tokenizer_are_an_alternative_to_raw_content() -> None:
    method, backbone = built("cae", target="codes", prototypes=20)
    assert [name for name, _ in method.plan(method.config).models] == ["tokenizer"]
    loss = total_of(method(backbone, small_views(method, toy_batch(8))))
    assert loss.terms["reconstruction"].item() == pytest.approx(math.log(20), rel=0.02)
    assert loss.total.item() == pytest.approx(
        loss.terms["reconstruction"].item() + 2 * loss.terms["alignment"].item(), rel=1e-5
    )
