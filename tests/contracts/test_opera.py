"""Card 047: labels that may be unknown reach only an objective that declares them."""

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.losses.contrastive import nt_xent
from ssl_platform.losses.supervised import masked_cross_entropy
from ssl_platform.nn.backbones import build
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective
from ssl_platform.plan import Plan
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss


class OPERA(Objective):
    needs = Plan.augmented(2, labels="optional")

    def build(self, backbone, models):
        self.projector = mlp(backbone.embed_dim, 64, 32, norm="batch")
        self.classifier = mlp(32, 32, 4)

    def forward(self, backbone, views):
        q = [self.projector(backbone(v).pooled) for v in views]
        own = nt_xent(*q, 0.2)
        supervised = sum(masked_cross_entropy(self.classifier(part), views[0].label) for part in q) / 2
        return Loss(own + supervised, {"own": own, "supervised": supervised}, {"embedding": F.normalize(q[0], dim=-1)})


class Unlabelled(OPERA):
    needs = Plan.augmented(2)


@pytest.mark.parametrize("known", [0.0, 0.5])
def test_unknown_labels_are_masked(known):
    torch.manual_seed(0)
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)

    def batches(number):
        batch = toy_batch(8, start=8 * (number % 2))
        batch.label = torch.where(torch.arange(8) < int(8 * known), batch.label, -1)
        return batch

    done = fit(OPERA(), backbone, layout, batches, 10, window=(16, 16), lr=2e-3)
    supervised = done.last.terms["supervised"]
    assert torch.isfinite(done.last.total)
    assert (supervised == 0) if known == 0 else (supervised < 1.3)


def test_an_objective_that_does_not_declare_labels_never_sees_them():
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)
    with pytest.raises((AttributeError, TypeError)):
        fit(Unlabelled(), backbone, layout, lambda n: toy_batch(8), 1, window=(16, 16))
