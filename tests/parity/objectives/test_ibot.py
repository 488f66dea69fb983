"""Card B09: DINO's limit, the loss written out in loops, what the mask hides, and the sampler.

The patch loss against lightly's is in tests/parity/losses/test_lightly.py, that it learns in tests/learning.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_platform import losses
from ssl_platform.draws import Draws
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.testing.objectives import built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Loss, Step, Tokens, View

STEP = Step(5, 10, 1, 8)
SAME = {"prototypes": 16, "learn_gain": True, "local_crops": 2, "temperature_warmup": "3"}


def one_pass(name: str, **settings: Any) -> tuple[Objective, Backbone, Loss]:
    method, backbone = built(name, **settings)
    method.before_step(STEP)
    loss = total_of(method(backbone, small_views(method, toy_batch(8))))
    loss.total.backward()
    return method, backbone, loss


def gradients(method: Objective, backbone: Backbone) -> list[Tensor]:
    named = [*backbone.named_parameters(), *method.named_parameters()]
    return [p.grad for name, p in named if p.grad is not None and name != "mask_token"]


def test_without_masks_and_patch_loss_it_is_dino_bit_for_bit() -> None:
    ours = one_pass("ibot", **SAME, mask_probability=0.0, patch_weight=0.0)
    dino = one_pass("dino", **SAME)
    assert torch.equal(ours[2].total, dino[2].total)
    mine, theirs = gradients(*ours[:2]), gradients(*dino[:2])
    assert len(mine) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_without_masks_and_view_loss_there_is_nothing_to_learn() -> None:
    method, backbone, loss = one_pass("ibot", mask_probability=0.0, view_weight=0.0)
    assert float(loss.total.detach()) == 0.0
    found = gradients(method, backbone)
    assert found and all(not g.any() for g in found)


def test_constant_student_logits_give_the_trivial_value_of_their_masks() -> None:
    method, backbone = built("ibot", mask_probability=1.0)
    method.before_step(STEP)
    with torch.no_grad():
        for parameter in method.head.parameters():
            parameter.zero_()
    loss = total_of(method(backbone, small_views(method, toy_batch(8))))
    assert float(loss.total.detach()) == pytest.approx(2 * math.log(16), abs=1e-5)
    assert method.trivial(8) == pytest.approx(2 * math.log(16))


@pytest.mark.parametrize("shared", [True, False])
def test_the_loss_written_out_in_loops(shared: bool) -> None:
    method, backbone = built("ibot", shared_head=shared, patch_weight=0.7, patch_teacher_temperature=(0.05, 0.08))
    method.double(), backbone.double()
    method.before_step(STEP)
    generator = torch.Generator().manual_seed(1)
    for buffer in (method.centre, method.patch_centre):
        buffer.copy_(0.1 * torch.randn(16, generator=generator))
    views = [v.replace(x=v.x.double()) for v in small_views(method, toy_batch(4))]
    loss = total_of(method(backbone, type(small_views(method, toy_batch(4)))(views)))

    student_heads = method.heads()
    patch_head = student_heads["head" if shared else "patch_head"]
    crops = View.cat(views[:2])
    mask = method.masks(backbone.tokenize(crops), crops, 2)
    chosen = mask.dense()
    masked = backbone.encode(backbone.tokenize(crops), replaced=mask, mask_token=method.mask_token)
    teacher = [method.teacher.backbone(v) for v in views[:2]]
    view_head = student_heads["head"]
    s_view = [*view_head(masked.pooled).chunk(2), *(view_head(backbone(v).pooled) for v in views[2:])]
    t_name = "head" if shared else "patch_head"

    def cross_entropy(t: Tensor, centre: Tensor, temperature: float, s: Tensor) -> float:
        q = [math.exp(v) for v in ((t - centre) / temperature).tolist()]
        p = [math.exp(v / 0.1) for v in s.tolist()]
        return -sum(a / sum(q) * math.log(b / sum(p)) for a, b in zip(q, p, strict=True))

    pairs = [(u, v, b) for u in range(2) for v in range(len(views)) for b in range(4) if u != v]
    view_loss = 0.0
    for u, v, b in pairs:
        t = method.teacher.head("head", teacher[u].pooled)[b]
        view_loss += cross_entropy(t, method.centre, float(method.temperature), s_view[v][b]) / len(pairs)
    patch_loss = 0.0
    for crop in range(8):
        places = [n for n in range(16) if chosen[crop, n]]
        whole = teacher[crop // 4].tokens[crop % 4]
        for n in places:
            t, s = method.teacher.head(t_name, whole[n]), patch_head(masked.tokens[crop, n])
            patch_loss += cross_entropy(t, method.patch_centre, float(method.patch_temperature), s) / len(places) / 8
    assert 0 < int(chosen.any(1).sum()) < 8
    assert float(loss.terms["view"].detach()) == pytest.approx(view_loss, rel=1e-9)
    assert float(loss.terms["patch"].detach()) == pytest.approx(patch_loss, rel=1e-9)
    assert float(loss.total.detach()) == pytest.approx(view_loss + 0.7 * patch_loss, rel=1e-9)


def test_what_lies_under_the_mask_reaches_the_teacher_only() -> None:
    method, backbone = built("ibot", mask_probability=1.0)
    method.before_step(STEP)
    crops = View.cat(small_views(method, toy_batch(4))[:2])
    tokens = backbone.tokenize(crops)
    mask = method.masks(tokens, crops, 2)
    cells = mask.to((16, 16)).view(8, 1, 16, 16)
    changed = crops.replace(x=torch.where(cells, crops.x + 3 * torch.randn_like(crops.x), crops.x))

    seen = [
        backbone.encode(backbone.tokenize(v), replaced=mask, mask_token=method.mask_token) for v in (crops, changed)
    ]
    assert torch.equal(seen[0].tokens, seen[1].tokens) and torch.equal(seen[0].pooled, seen[1].pooled)
    with torch.no_grad():
        targets = [method.patch_targets(method.teacher.backbone(v), mask)[0] for v in (crops, changed)]
    assert float((targets[0] - targets[1]).abs()[mask.valid].max()) > 1e-3

    # Nothing but masked positions counts.
    scores = torch.randn(8, mask.index.shape[1], 16)
    elsewhere = torch.where(mask.valid[..., None], scores, torch.full_like(scores, 9.0))
    a, b = (losses.masked_distillation(s, targets[0], 0.1, mask.valid) for s in (scores, elsewhere))
    assert torch.equal(a, b)


@pytest.mark.parametrize("shape", ["block", "random"])
def test_half_the_crops_are_masked_and_none_beyond_its_target(shape: str) -> None:
    method, _ = built("ibot", mask_shape=shape)
    crops = View(torch.zeros(1000, 1, 1, 1), draws=Draws.at(0, torch.arange(1000)))
    tokens = Tokens(torch.zeros(1000, 196, 1), torch.rand(1000, 196, 2), torch.ones(1000, 2), grid=(14, 14))
    chosen = method.masks(tokens, crops, 2).dense()
    counts = chosen.sum(1)
    target = crops.random.uniform("mask/ratio", low=0.1, high=0.5) * 196
    hidden = counts > 0
    print("tokens masked, by tenths of 196:", torch.histc(counts.float(), 10, 0, 196).int().tolist())
    assert 0.45 < float(hidden.float().mean()) < 0.55
    assert torch.equal(counts[hidden], target[hidden].floor().long())
    assert float(target.std()) == pytest.approx(0.4 * 196 / math.sqrt(12), rel=0.05)
    often = chosen[hidden].float().mean(0)  # no place is preferred
    assert float(often.std()) < 0.03 and float(often.mean()) == pytest.approx(0.3, abs=0.02)
