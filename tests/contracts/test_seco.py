"""Card B29: related reads (three dates of a place), three heads and three queues on one backbone."""

import torch
from torch import nn
from torch.nn import functional as F

from ssl_platform.losses.contrastive import info_nce
from ssl_platform.nn.backbones import build
from ssl_platform.nn.bank import Queue
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective
from ssl_platform.objectives.embedding import pooled
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan, Reads, ViewSpec
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss

DIM, LENGTH = 16, 32


class SeCo(Objective):
    needs = Plan(
        reads=Reads(3, "time"),
        views=(
            ViewSpec("query", read=0, photometric=False),
            ViewSpec("key0", read=1),
            ViewSpec("key1", read=2, photometric=False),
            ViewSpec("key2", read=0),
        ),
    )

    def build(self, backbone, models):
        self.heads = nn.ModuleList([mlp(backbone.embed_dim, 64, DIM) for _ in range(3)])
        self.teacher = Teacher(backbone, {f"head{i}": head for i, head in enumerate(self.heads)})
        self.queues = nn.ModuleList([Queue(LENGTH, DIM) for _ in range(3)])

    def forward(self, backbone, views):
        query = backbone(views["query"][0]).pooled
        with torch.no_grad():
            keys = pooled(self.teacher.backbone, [views[f"key{j}"][0] for j in range(3)])
        losses, watch = [], {"embedding": query}
        for i, head in enumerate(self.heads):
            q = F.normalize(head(query), dim=-1)
            k = [F.normalize(self.teacher.head(f"head{i}", key), dim=-1).detach() for key in keys]
            in_place = torch.stack([k[j] for j in range(3) if j != i], dim=1) if i else None
            losses.append(info_nce(q, k[i], 0.07, queue=self.queues[i].content(), negatives=in_place))
            watch[f"key{i}"] = k[i]
        return Loss(torch.stack(losses).sum(), watch=watch)

    def after_step(self, step, backbone, watch, views):
        self.teacher.update(backbone, {f"head{i}": head for i, head in enumerate(self.heads)}, 0.99)
        for i, queue in enumerate(self.queues):
            queue.push(torch.cat([w[f"key{i}"] for w in watch]))


def test_reads_queues_and_heads():
    torch.manual_seed(0)
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)
    method = SeCo()
    done = fit(
        method, backbone, layout, lambda n: toy_batch(8, reads=3, start=8 * (n % 2)), 40, window=(16, 16), lr=2e-3
    )
    query, key0, key2 = (done.views[role][0] for role in ("query", "key0", "key2"))
    assert not torch.equal(query.x, key0.x) and torch.equal(query.index, key2.index)
    for i, queue in enumerate(method.queues):  # each queue holds its own space's newest keys
        newest = done.last.watch[f"key{i}"]
        assert (queue.content() @ newest.T).max(0).values.min() > 1 - 1e-5
    assert torch.isfinite(torch.tensor(done.losses)).all()
    full = LENGTH // 8  # from here on the queues hold keys, no longer random vectors
    assert sum(done.losses[-5:]) < sum(done.losses[full : full + 5])
