"""Card B07: a bank by stable index, a whole-set refresh that re-clusters it, and labels that change each epoch."""

import torch
from torch.nn import functional as F

from ssl_platform.nn.backbones import build
from ssl_platform.nn.bank import Bank
from ssl_platform.nn.clustering import spherical_kmeans
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective
from ssl_platform.objectives.embedding import pooled
from ssl_platform.plan import Plan, Refresh
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss

ITEMS, K, DIM = 24, 4, 16


class DeepClusterV2(Objective):
    needs = Plan.augmented(2, stable=True, refresh=Refresh("1ep"))

    def build(self, backbone, models):
        self.projector = mlp(backbone.embed_dim, 64, DIM, norm="batch")
        self.bank = Bank(ITEMS, DIM)
        self.register_buffer("prototypes", torch.zeros(K, DIM))
        self.register_buffer("assigned", torch.full((ITEMS,), -100))

    def refresh(self, step, bank, index):
        if step.step == 0:
            self.bank.write(index, F.normalize(self.projector(bank), dim=-1))
        rows = self.bank.read(torch.arange(ITEMS))
        start = rows[:: ITEMS // K][:K]
        self.prototypes.copy_(spherical_kmeans(rows, start, iterations=10))
        self.assigned.copy_((rows @ self.prototypes.T).argmax(-1))

    def forward(self, backbone, views):
        z = [F.normalize(self.projector(f), dim=-1) for f in pooled(backbone, views)]
        target = self.assigned[views[0].index]
        loss = sum(F.cross_entropy(part @ self.prototypes.T / 0.1, target) for part in z) / len(z)
        return Loss(loss, watch={"bank": z[0]})

    def after_step(self, step, backbone, watch, views):
        for seen, made in zip(watch, views, strict=True):
            self.bank.write(made[0].index, seen["bank"])


def test_bank_holds_each_items_own_embedding_and_prototypes_are_not_trained():
    torch.manual_seed(0)
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)
    method = DeepClusterV2()
    frozen = {}

    def batches(number):
        frozen[number] = method.prototypes.clone()
        return toy_batch(8, start=8 * number, items=ITEMS)

    done = fit(
        method, backbone, layout, batches, 9, window=(16, 16), epoch_steps=3, items=toy_batch(ITEMS, items=ITEMS)
    )
    assert torch.equal(frozen[4], frozen[5]), "prototypes moved between refreshes"
    assert not torch.equal(frozen[3], frozen[4]), "refresh did not re-cluster"
    assert method.bank.read(done.views[0].index).shape == (8, DIM)
    stored = method.bank.read(done.views[0].index)
    assert torch.allclose(stored, done.last.watch["bank"].detach())
    assert done.losses[5] < done.losses[3], "the new labels are learnt within their epoch"
    assert "bank.rows" in dict(method.named_buffers()), "the bank must be saved with the objective"
