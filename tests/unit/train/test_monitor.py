"""Looks at embeddings that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.train.monitor import Labelled, Monitor, evaluating, knn_score, spread, teacher_entropies
from ssl_platform.types import Features, View


def test_spread_is_one_for_isotropic_and_zero_for_constant() -> None:
    generator = torch.Generator().manual_seed(0)
    assert spread(torch.randn(4000, 16, generator=generator)) == pytest.approx(1.0, abs=0.01)
    assert spread(torch.ones(10, 4)) == pytest.approx(0.0, abs=1e-6)


def test_teacher_entropies_tell_the_two_collapses_apart() -> None:
    one = torch.zeros(8, 5)
    one[:, 2] = 1
    assert teacher_entropies(one) == pytest.approx((0.0, 0.0))
    assert teacher_entropies(torch.full((8, 5), 0.2)) == pytest.approx((1.0, 1.0), abs=1e-6)
    decided = torch.eye(64)[:16]  # sixteen rows cannot use sixty-four prototypes
    assert teacher_entropies(decided) == pytest.approx((0.0, 1.0), abs=1e-6)
    assert teacher_entropies(torch.eye(5)) == (0.0, None)


def _clusters(per: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(3).repeat_interleave(per)
    return nn.functional.one_hot(label, 8).float() + 0.05 * torch.randn(3 * per, 8, generator=generator), label


def test_knn_finds_clusters_and_is_at_chance_without_them() -> None:
    z, label = _clusters()
    query = torch.arange(len(z)) % 3 == 0
    group = torch.arange(len(z))
    assert knn_score(z, Labelled(label, query, group)) == 1.0
    noise = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))
    many = torch.arange(300) % 3
    found = knn_score(noise, Labelled(many, torch.arange(300) < 100, torch.arange(300)))
    assert found is not None and abs(found - 1 / 3) < 0.12


def test_knn_leaves_groups_out_and_unknown_labels() -> None:
    z, label = _clusters()
    no_query = torch.zeros(len(z), dtype=torch.bool)
    assert knn_score(z, Labelled(label, no_query, torch.arange(len(z)))) == 1.0
    # every cluster is one patient: nobody of another patient shares the class, so the vote is always wrong
    assert knn_score(z, Labelled(label, no_query, label)) == 0.0
    unknown = torch.full_like(label, -1)
    assert knn_score(z, Labelled(unknown, no_query, label)) is None


def test_knn_of_values() -> None:
    x = torch.linspace(0, math.pi, 60)
    z = torch.stack([x.cos(), x.sin()], dim=1)
    found = knn_score(z, Labelled(x, torch.arange(60) % 3 == 0, torch.arange(60)))
    assert found is not None and found > 0.98


class Mean(Backbone):
    embed_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.9)

    def forward(self, view: View, visible: object = None, taps: object = ()) -> Features:
        x = self.drop(view.x).flatten(1)
        pooled = torch.stack([x.mean(1), x.std(1)], dim=1)
        return Features(pooled, pooled[:, None, :0])


def test_a_look_changes_nothing_and_repeats_itself() -> None:
    from ssl_platform.config.schema import ViewsConfig
    from ssl_platform.plan import Plan
    from ssl_platform.views.maker import ViewMaker

    maker = ViewMaker(toy_layout(), Plan.augmented(2), ViewsConfig(), seed=0, window=(16, 16))
    monitor = Monitor(lambda: [toy_batch(8), toy_batch(8, start=8)], maker.clean, maker)
    net = Mean().train()
    net.drop.eval()
    state = torch.random.get_rng_state()
    looks = [monitor.look(net, step=1, seconds=1.0) for _ in range(2)]
    assert looks[0] == looks[1] and looks[0].alignment is not None and looks[0].alignment > 0
    assert torch.equal(state, torch.random.get_rng_state())
    assert net.training and not net.drop.training


def test_modes_come_back_after_an_error() -> None:
    net = Mean().train()
    with pytest.raises(RuntimeError), evaluating(net):
        assert not net.training
        raise RuntimeError
    assert net.training and net.drop.training
