"""Card 006."""

import math

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.losses.latent import pairwise_similarity, patch_discrimination
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.patches import patchify
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step, View
from ssl_platform.views.gaps import gapped


def test_constant_predictions_cost_two_tau_log_m() -> None:
    constant, target = torch.ones(2, 176, 8, requires_grad=True), torch.randn(2, 176, 8)
    loss = patch_discrimination(constant, target, 0.2).mean()
    assert loss.item() == pytest.approx(2 * 0.2 * math.log(176), rel=1e-5) and round(loss.item(), 3) == 2.068
    (gradient,) = torch.autograd.grad(loss, constant)
    assert torch.isfinite(gradient).all()
    assert built("latent-mim")[0].trivial(8) == pytest.approx(0.4 * math.log(8))  # 9 tokens, 1 visible


def test_the_losses_from_their_formulas() -> None:
    generator = torch.Generator().manual_seed(0)
    p, t = (torch.randn(3, 5, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]).bool()
    unit = lambda v: v / v.norm()  # noqa: E731
    got, alike = patch_discrimination(p, t, 0.3, valid), pairwise_similarity(p, valid)
    for b in range(3):
        real = [n for n in range(5) if valid[b, n]]
        mean, std = p[b, real].mean(0), p[b, real].std(0)
        rows = [unit((p[b, n] - mean) / (std + 1e-4)) for n in real]
        columns = [unit(t[b, n]) for n in real]
        for i, n in enumerate(real):
            scores = torch.stack([rows[i] @ column / 0.3 for column in columns])
            wanted = -0.6 * torch.log(scores[i].exp() / scores.exp().sum())
            torch.testing.assert_close(got[b, n], wanted)
        pairs = [unit(p[b, n]) @ unit(p[b, m]) for n in real for m in real]
        torch.testing.assert_close(alike[b], torch.stack(pairs).mean())


def view_of(x: torch.Tensor) -> View:
    return View(x, draws=Draws.at(0, torch.arange(len(x))))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_without_a_gap_the_view_is_cut_as_ever_and_with_one_each_patch_lies_in_its_cell(rank: int) -> None:
    patch = (3, 2, 4)[:rank]
    size = tuple(4 * p for p in patch)
    x = torch.arange(2 * 2 * math.prod(size)).float().view(2, 2, *size)
    same = gapped(view_of(x), patch, (0,) * rank)
    assert torch.equal(patchify(same.x, patch), patchify(x, patch))

    gap, pitch = (1, 2, 1)[:rank], [p + g for p, g in zip(patch, (1, 2, 1)[:rank], strict=True)]
    long = tuple(3 * n + 1 for n in pitch)  # one cell is left over
    where = torch.stack(torch.meshgrid(*[torch.arange(n).float() for n in long], indexing="ij"))[None]
    view = view_of(where.repeat(64, *[1] * (rank + 1)))
    cut = gapped(view.replace(spacing=torch.ones(64, rank)), patch, gap)
    assert cut.x.shape[2:] == tuple(3 * p for p in patch)
    torch.testing.assert_close(cut.spacing[0], torch.tensor([n / p for n, p in zip(pitch, patch, strict=True)]))
    tokens = patchify(cut.x, patch).unflatten(2, (-1, rank))  # [B, N, P, S] source cell of every cell
    first = tokens[:, :, 0]
    inside = patchify(where[:, :, *[slice(0, p) for p in patch]], patch).view(1, 1, -1, rank)
    assert torch.equal(tokens, first[:, :, None] + inside)  # whole patches, in order
    grid = torch.stack(torch.meshgrid(*[torch.arange(3)] * rank, indexing="ij"), -1).reshape(1, -1, rank)
    shift = first - grid * torch.tensor(pitch)
    assert (shift.amin((0, 1)) == 0).all() and torch.equal(shift.amax((0, 1)), torch.tensor(gap).float())


def test_no_sample_depends_on_the_others_and_the_target_never_sees_a_visible_patch() -> None:
    method, backbone = built("latent-mim", mask_ratio=0.6)
    view = small_views(method, toy_batch(4))[0]

    def loss_of_first(v: View) -> torch.Tensor:
        single = v.replace(x=v.x[:1], draws=v.random.select(slice(0, 1)), spacing=v.spacing[:1])
        return total_of(method(backbone, [single])).total

    alone = loss_of_first(view)
    together = torch.stack([
        total_of(method(backbone, [view.replace(x=torch.cat([view.x[:1], other]))])).total
        for other in (view.x[1:], view.x[1:])
    ])  # fmt: skip
    rest = torch.stack([
        total_of(method(backbone, [view.replace(
            x=view.x[i : i + 1], draws=view.random.select(slice(i, i + 1)), spacing=view.spacing[i : i + 1]
        )])).total for i in range(4)
    ])  # fmt: skip
    torch.testing.assert_close(rest[0], alone)
    torch.testing.assert_close(rest.mean(), together[0])

    cut = method.cut(backbone, view)
    tokens = backbone.tokenize(cut)
    visible, masked = random_masks(tokens, 0.6, cut.random)
    seen = visible.to((12, 12)).view(4, 1, 12, 12)
    changed = cut.replace(x=torch.where(seen, cut.x + 1.0, cut.x))
    teacher = method.teacher.backbone
    a, b = (teacher.encode(teacher.tokenize(v), masked).tokens for v in (cut, changed))
    assert torch.equal(a, b)
    assert not torch.equal(backbone.encode(tokens, visible).tokens, backbone.encode(backbone.tokenize(changed), visible)
                           .tokens)  # fmt: skip
    total_of(method(backbone, [view])).total.backward()
    assert all(p.grad is None for p in method.teacher.parameters())


def test_similarity_falls_and_momentum_rises_along_a_cosine() -> None:
    method, backbone = built("latent-mim", momentum=0.9)
    seen, wanted = [], []
    method.teacher.update = lambda b, heads, momentum: seen.append(round(momentum, 6))
    for number in (0, 5, 10):
        method.before_step(Step(number, 10))
        wanted.append(round(float(method.wanted), 6))
        method.after_step(Step(number, 10), backbone, [], [])
    assert seen == [0.9, 0.95, 1.0] and wanted == [0.75, 0.5, 0.25]


@pytest.mark.slow
def test_targets_stay_apart_with_the_recipe_and_not_without_slow_teacher_and_penalty() -> None:
    """The penalty alone would also keep them apart, so the control goes without both."""

    def similarity(momentum: float, penalty: float) -> float:
        torch.manual_seed(0)
        settings = {"momentum": momentum, "similarity_weight": penalty, "mask_ratio": 0.6}
        method, backbone = small("latent-mim", **settings), small_backbone()
        batches = lambda n: toy_batch(16, start=16 * (n % 8))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 300, window=(16, 16), lr=1e-3)
        return float(done.last.terms["target_similarity"])

    assert similarity(0.99, 0.1) < 0.9
    assert similarity(0.0, 0.0) > 0.99
