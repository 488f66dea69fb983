"""Card 049: bags and queue in closed form, the loss in loops, and where gradient goes.

That it learns is in tests/learning. The queue is a ring of any size, so a batch need not divide the number of words.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.errors import ConfigError
from ssl_platform.losses.words import bag_of_words, kl_divergence, squared_distances
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.nn.vocabulary import levels_of
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.objectives.embedding import pooled
from ssl_platform.testing.objectives import built, make, small, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step, Views

STEP = Step(5, 10, 1, 8)


def on_a_pyramid(**settings: Any) -> tuple[Objective, Backbone]:
    torch.manual_seed(0)
    method = small("obow", **settings)
    backbone = build("convnet-tiny", toy_layout(2), ("c0",), (16, 16), (4, 4), width=8)
    make(method, backbone)
    return method, backbone


def test_bags_are_distributions_and_turn_into_indicators() -> None:
    generator = torch.Generator().manual_seed(0)
    features, words = (torch.randn(n, generator=generator, dtype=torch.float64) for n in ((5, 9, 4), (12, 4)))
    valid = torch.rand(5, 9, generator=generator) < 0.7
    valid[4] = False
    distances = squared_distances(features, words)
    torch.testing.assert_close(distances, (features[:, :, None] - words).square().sum(-1))
    soft, hard = (bag_of_words(distances, s, valid) for s in (2.0, 1e6))
    assert (soft >= 0).all()
    torch.testing.assert_close(soft.sum(1), torch.tensor([1.0] * 4 + [0.0], dtype=torch.float64))
    for b in range(4):
        found = {min(range(12), key=lambda k: float(distances[b, u, k])) for u in range(9) if valid[b, u]}
        expected = torch.tensor([1 / len(found) if k in found else 0.0 for k in range(12)], dtype=torch.float64)
        torch.testing.assert_close(hard[b], expected)


@pytest.mark.parametrize("batch", [8, 5])
def test_the_oldest_words_go_first_and_each_once(batch: int) -> None:
    """Also where the batch does not divide the number of words, which the published code cannot have."""
    method, backbone = built("obow", words=16)
    vocabulary, newest = method.vocabulary(0), []
    for number in range(6):
        before = vocabulary.content().clone()
        watch = {
            "words0": torch.full((batch, vocabulary.content().shape[1]), float(number)),
            "distance0": torch.ones(()),
        }
        method.after_step(Step(number, 10, 1, batch), backbone, [watch], [])
        newest += [float(number)] * batch
        changed = (vocabulary.content() != before).any(1)
        assert int(changed.sum()) == batch
        if len(newest) >= 16:
            assert sorted(vocabulary.content()[:, 0].tolist()) == newest[-16:]
    with pytest.raises(ConfigError, match="use at least 32 words"):
        method.before_step(Step(0, 10, 1, 32))


def test_divergence_is_cross_entropy_less_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(6, 9, generator=generator), torch.rand(6, 9, generator=generator) ** 4
    target[:, 0] = 0
    target = target / target.sum(1, keepdim=True)
    entropy = torch.distributions.Categorical(probs=target).entropy().mean()
    assert float(kl_divergence(logits, target)) == pytest.approx(
        float(F.cross_entropy(logits, target) - entropy), abs=1e-5
    )
    assert float(kl_divergence(target.clamp_min(1e-30).log(), target)) == pytest.approx(0.0, abs=1e-6)


def test_gradient_reaches_student_and_generator_only() -> None:
    method, backbone = built("obow")
    method.before_step(STEP)
    total_of(method(backbone, small_views(method, toy_batch(8)))).total.backward()
    assert all(p.grad is not None and p.grad.any() for p in method.generators.parameters() if p.ndim > 1)
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    vocabulary = method.vocabulary(0)
    assert not vocabulary.rows.requires_grad and not vocabulary.nearest.requires_grad
    assert not {"rows", "nearest"} & {name.rsplit(".", 1)[-1] for name, _ in method.named_parameters()}


def test_the_loss_written_out_in_loops() -> None:
    """On a convnet: two levels of unlike width, their borders cut where five cells allow it."""
    method, backbone = on_a_pyramid(local_crops=1, words=12)
    method.double(), backbone.double()
    method.before_step(STEP)
    method.requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    for number in range(2):
        vocabulary = method.vocabulary(number)
        vocabulary.rows.copy_(torch.randn(vocabulary.rows.shape, generator=generator))
        vocabulary.nearest.fill_(3.0 + number)
    views = Views([v.replace(x=v.x.double()) for v in small_views(method, toy_batch(4))])
    loss = total_of(method(backbone, views))

    maps = [feature for feature, _ in method.teacher.backbone(views[0]).pyramid]
    assert [m.shape[2] for m in maps] == [8, 4]
    with torch.no_grad():
        vectors = list(zip((v.role for v in views[1:]), pooled(backbone, views[1:]), strict=True))
    count = {role: sum(role == r for r, _ in vectors) for role, _ in vectors}
    terms = dict.fromkeys(count, 0.0)
    for number, feature in enumerate(maps):
        words = method.vocabulary(number).rows
        inside = range(1, 7) if number == 0 else range(4)
        weight = F.normalize(method.generators[number](F.normalize(words, dim=1)), dim=1)
        for b in range(4):
            best = [0.0] * 12
            for y in inside:
                for x in inside:
                    e = [
                        math.exp(-15 / (3.0 + number) * float((feature[b, :, y, x] - w).square().sum())) for w in words
                    ]
                    best = [max(old, v / sum(e)) for old, v in zip(best, e, strict=True)]
            bag = [v / sum(best) for v in best]
            for role, vector in vectors:
                z = (8 * weight @ vector[b]).tolist()
                norm = math.log(sum(math.exp(v) for v in z))
                kl = sum(t * (math.log(t) - v + norm) for t, v in zip(bag, z, strict=True))
                terms[role] += kl / (2 * 4 * count[role])
    assert set(loss.terms) == {"global", "local"}
    for role, value in terms.items():
        assert float(loss.terms[role].detach()) == pytest.approx(value, rel=1e-9)
    assert float(loss.total.detach()) == pytest.approx(sum(terms.values()), rel=1e-9)


def test_new_words_are_means_around_one_inner_place() -> None:
    method, backbone = on_a_pyramid()
    view = small_views(method, toy_batch(6))[0]
    with torch.no_grad():
        feature = backbone(view).pyramid[0][0]  # [6, C, 8, 8]
        (fine, _) = levels_of(backbone(view), view, 2)
    word = fine.words(view.random.uniform("obow/word0", 64))
    assert fine.valid.sum(1).tolist() == [36] * 6
    inner = feature[:, :, 1:-1, 1:-1]
    means = F.avg_pool2d(inner, 3, 1, 1, count_include_pad=False).flatten(2).transpose(1, 2)  # [6, 36, C]
    apart = (means - word[:, None]).abs().amax(-1).amin(1)
    assert float(apart.max()) < 1e-6
    assert torch.equal(fine.words(view.random.uniform("obow/word0", 64)), word)


def test_the_usual_distance_follows_the_batches() -> None:
    method, backbone = built("obow")
    for number, value, expected in ((0, 4.0, 4.0), (1, 8.0, 4.04)):
        watch: dict[str, Tensor] = {"words0": torch.zeros(8, backbone.embed_dim), "distance0": torch.tensor(value)}
        method.after_step(Step(number, 10, 1, 8), backbone, [watch], [])
        assert float(method.vocabulary(0).nearest) == pytest.approx(expected)
