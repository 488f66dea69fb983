"""Card 033."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.losses import nt_xent, supcon
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import built, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Views

LABEL = torch.tensor([0, 1, 0, -1, 0, -1])


def embeddings(count: int = 6, views: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, views, 4, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("views", [1, 2, 3])
def test_written_out_with_loops(views: int, inside: bool) -> None:
    z = F.normalize(embeddings(views=views), dim=2).flatten(0, 1)
    label = LABEL.repeat_interleave(views)
    sample = torch.arange(6).repeat_interleave(views)
    total = 0.0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = [j for j in others if sample[i] == sample[j] or (label[i] == label[j] and label[i] >= 0)]
        if not positives:
            continue
        everything = sum(math.exp(float(z[i] @ z[j]) / 0.3) for j in others)
        chances = [math.exp(float(z[i] @ z[j]) / 0.3) / everything for j in positives]
        mean = sum(chances) / len(chances) if inside else math.exp(sum(map(math.log, chances)) / len(chances))
        total -= math.log(mean)
    found = supcon(embeddings(views=views), LABEL, 0.3, inside=inside)
    assert float(found) == pytest.approx(total / len(z), abs=1e-9)


@pytest.mark.parametrize("inside", [False, True])
def test_without_labels_and_with_all_labels_distinct_it_is_nt_xent(inside: bool) -> None:
    z = embeddings().requires_grad_()
    plain = nt_xent(z[:, 0], z[:, 1], 0.1)
    for label in (None, torch.arange(6), torch.full((6,), -1)):
        loss = supcon(z, label, 0.1, inside=inside)
        torch.testing.assert_close(loss, plain)
        torch.testing.assert_close(torch.autograd.grad(loss, z)[0], torch.autograd.grad(plain, z, retain_graph=True)[0])


def test_no_learning_value_and_anchors_without_positives() -> None:
    alike = torch.ones(5, 3, 4)
    assert float(supcon(alike, torch.zeros(5, dtype=torch.int64), 0.1)) == pytest.approx(math.log(5 * 3 - 1), abs=1e-5)
    method, backbone = built("supcon")
    torch.nn.init.zeros_(method.projector[-1].weight)
    loss = total_of(method(backbone, small_views(method, toy_batch(8)))).total
    assert float(loss) == pytest.approx(method.trivial(8), abs=1e-5)
    for inside in (False, True):
        z = embeddings(views=1).requires_grad_()
        nothing = supcon(z, torch.arange(6), 0.1, inside=inside)
        assert float(nothing) == 0.0 and torch.equal(torch.autograd.grad(nothing, z)[0], torch.zeros_like(z))
        some = supcon(z, torch.tensor([0, 0, 1, 2, 3, 4]), 0.1, inside=inside)
        assert float(some) > 0 and torch.autograd.grad(some, z)[0].isfinite().all()


def test_averaging_outside_the_logarithm_is_an_upper_bound() -> None:
    for seed in range(20):
        z = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(seed))
        label = torch.arange(8) % 3
        assert supcon(z, label, 0.2) >= supcon(z, label, 0.2, inside=True)


def test_a_hard_positive_is_pulled_more_than_an_easy_one() -> None:
    anchor, easy, hard, other = (torch.tensor([math.cos(a), math.sin(a)]) for a in (0.0, 0.2, 1.2, 2.5))
    z = torch.stack((anchor, easy, hard, other))[:, None].requires_grad_()
    positives = torch.zeros(4, 4)
    positives[0, 1:3] = 1.0
    gradient = torch.autograd.grad(supcon(z, temperature=0.5, positives=positives), z)[0].flatten(1).norm(dim=1)
    assert gradient[2] > 2 * gradient[1]


def test_several_classes_weigh_a_pair_by_what_it_shares() -> None:
    z = embeddings(3)
    label = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [torch.nan, torch.nan, torch.nan]])
    weight = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(supcon(z, label, 0.2), supcon(z, temperature=0.2, positives=weight))
    one_class = F.one_hot(torch.tensor([0, 1, 0]), 2).double()
    torch.testing.assert_close(supcon(z, one_class, 0.2), supcon(z, torch.tensor([0, 1, 0]), 0.2))
    scaled = supcon(z, label, 0.2, base_temperature=0.1)
    torch.testing.assert_close(scaled, 2 * supcon(z, label, 0.2))


def test_labels_are_needed_and_must_be_classes() -> None:
    method, backbone = built("supcon")
    views = small_views(method, toy_batch(8))
    assert views[0].label is not None
    for label, what in ((None, "none"), (torch.rand(8), "numbers")):
        with pytest.raises(ConfigError, match=f"classes as labels, got {what}"):
            method(backbone, Views([v.replace(label=label) for v in views]))
    with pytest.raises(ValueError, match="not both"):
        supcon(embeddings(), LABEL, positives=torch.ones(6, 6))
