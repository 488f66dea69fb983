"""Card B18. The comparison with VideoMAE's frozen probe needs clips of motion and minutes of training: it belongs to
the learning table, not to this module.
"""

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.predictive.v_jepa import VJEPA
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step, Tokens

GRID = (6, 7, 7)


def clip_tokens(batch: int) -> Tokens:
    axes = [(torch.arange(n) + 0.5) / n for n in GRID]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(1, -1, 3).expand(batch, -1, -1)
    return Tokens(torch.zeros(batch, coords.shape[1], 1), coords, torch.ones(batch, 3), GRID)


def ranks(x: torch.Tensor) -> torch.Tensor:
    return x.argsort().argsort().double()


def spearman(x: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([ranks(x), torch.arange(len(x)).double()]))[0, 1])


def published_context(draws: Draws, blocks: int, scale: float) -> torch.Tensor:
    """Frequency of context by place for the published collator: sorted lists cut to the smallest of a batch of 24."""
    t, h, w = GRID
    side = round((scale * h * w) ** 0.5)
    top, left = (draws.integer(name, h - side, blocks) for name in ("top", "left"))
    rows, columns = torch.arange(h), torch.arange(w)
    inside = ((rows >= top[..., None]) & (rows < top[..., None] + side))[..., None] & (
        (columns >= left[..., None]) & (columns < left[..., None] + side)
    )[..., None, :]
    kept = ~inside.any(1)[:, None].expand(-1, t, -1, -1).flatten(1)
    seen = torch.zeros(t * h * w)
    for batch in kept.split(24):
        least = int(batch.sum(1).min())
        for row in batch:
            seen[row.nonzero().flatten()[:least]] += 1
    return seen.view(GRID) / len(kept)


def test_every_place_is_context_and_target_equally_often() -> None:
    draws = Draws.at(0, torch.arange(1000))
    for number, split in enumerate(VJEPA().masks(clip_tokens(1000), draws)):
        share = (1 - 0.85**8, 1 - 0.3**2)[number]
        for mask, expected in ((split.visible, 1 - share), (split.masked, share)):
            often = mask.dense().float().mean(0)
            assert mask.valid is None and abs(float(often.mean()) - expected) < 0.03  # whole places of 49
            assert float((often - often.mean()).abs().max()) < 5 * (expected * (1 - expected) / 1000) ** 0.5
            assert (often.view(GRID)[0] == often.view(GRID)[-1]).all()  # blocks run through time
    cut = published_context(Draws.at(0, torch.arange(240)), 8, 0.15)
    time = cut.mean((1, 2))
    assert spearman(time) < -0.9 and float(time[-1]) < 0.3 * float(time[0])
    assert float(cut[:, -1].mean()) > 0  # context may lie there, but as a target the last row and column never do


def test_context_and_target_are_disjoint_and_of_one_shape() -> None:
    short, long = VJEPA().masks(clip_tokens(5), Draws.at(0, torch.arange(5)))
    for split in (short, long):
        assert not (split.visible.dense() & split.masked.dense()).any()
        assert (split.visible.dense() | split.masked.dense()).all()
    assert not torch.equal(short.masked.dense(), long.masked.dense())


def test_target_cells_reach_the_teacher_and_not_the_context() -> None:
    method, backbone = built("v-jepa", 3)
    view = small_views(method, toy_batch(2, 3), 3)[0]
    tokens = backbone.tokenize(view)
    visible, masked = method.masks(tokens, view.random)[0]
    hidden = masked.to((16, 16, 16)).view(2, 1, 16, 16, 16)
    changed = view.replace(x=torch.where(hidden, view.x + 1.0, view.x))
    a, b = (backbone.encode(backbone.tokenize(v), visible).tokens for v in (view, changed))
    assert torch.equal(a, b)
    teacher = method.teacher.backbone
    assert not torch.equal(teacher(view).tokens, teacher(changed).tokens)


def test_the_loss_from_its_formula() -> None:
    method, backbone = built("v-jepa")
    method.double(), backbone.double()
    for parameter in method.predictor.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    view = small_views(method, toy_batch(3))[0]
    view = view.replace(x=view.x.double())
    tokens = backbone.tokenize(view)
    h = method.teacher.backbone(view).tokens
    h = (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    total = 0.0
    for number, (visible, masked) in enumerate(method.masks(tokens, view.random)):
        features = backbone.encode(tokens, visible)
        z = method.predictor.of_type(number, features, masked.gather(tokens.coords))
        per_token = [(z[b, k] - h[b, n]).abs().mean() for b in range(3) for k, n in enumerate(masked.index[b].tolist())]
        total += float(torch.stack(per_token).mean().detach()) / 2
    assert total_of(method(backbone, [view])).total.item() == pytest.approx(total, rel=1e-9)


def test_an_oracle_predictor_has_no_loss_and_constant_features_are_a_fixed_point() -> None:
    method, backbone = built("v-jepa")
    view = small_views(method, toy_batch(4))[0]
    full = method.teacher.backbone(view).tokens
    target = torch.nn.functional.layer_norm(full, full.shape[-1:])
    masks = method.masks(backbone.tokenize(view), view.random)

    class Oracle(torch.nn.Module):
        def of_type(self, number, features, coords, **known):
            return masks[number].masked.gather(target)

    method.predictor = Oracle()
    assert total_of(method(backbone, [view])).total.item() == 0.0

    method, backbone = built("v-jepa")
    constant = 3 * torch.randn(backbone.embed_dim)
    with torch.no_grad():
        for net in (backbone, method.teacher.backbone):
            net.norm.weight.zero_()  # every token is the norm's offset
            net.norm.bias.copy_(constant)
        method.predictor.head.weight.zero_()
        method.predictor.head.bias.copy_(torch.nn.functional.layer_norm(constant, constant.shape))
    assert total_of(method(backbone, [view])).total.item() < 1e-6


def test_types_have_their_own_mask_token_that_starts_at_zero() -> None:
    method, backbone = built("v-jepa")
    token = method.predictor.mask_token
    assert token.shape[0] == 2 and token.abs().max() == 0
    view = small_views(method, toy_batch(4))[0]
    loss = total_of(method(backbone, [view]))
    (short,) = torch.autograd.grad(loss.terms["masks0"], token, retain_graph=True)
    assert short[0].abs().sum() > 0 and short[1].abs().sum() == 0


def test_momentum_rises_linearly_to_one_and_settings_must_match() -> None:
    method, backbone = built("v-jepa", momentum=0.998)
    seen = []
    method.teacher.update = lambda b, heads, momentum: seen.append(round(momentum, 6))
    for number in (0, 5, 10):
        method.after_step(Step(number, 10), backbone, [], [])
    assert seen == [0.998, 0.999, 1.0]
    with pytest.raises(ValueError, match="one number a type of mask"):
        VJEPA.Config(blocks=(8,))


@pytest.mark.slow
def test_token_features_stay_spread_with_a_slow_teacher_and_not_with_the_student_as_target() -> None:
    def kept(momentum: float) -> float:
        torch.manual_seed(0)
        method, backbone = small("v-jepa", momentum=momentum), small_backbone()
        view = small_views(method, toy_batch(64))[0]
        with torch.no_grad():
            start = backbone(view).tokens.flatten(0, 1).std(0).mean()
        batches = lambda n: toy_batch(16, start=16 * (n % 8))  # noqa: E731
        fit(method, backbone, toy_layout(2), batches, 100, window=(16, 16))
        with torch.no_grad():
            return float(backbone(view).tokens.flatten(0, 1).std(0).mean() / start)

    assert kept(0.998) > 0.5
    assert kept(0.0) < 0.2
