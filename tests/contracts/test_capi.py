"""Card 041: two players (student, clustering layer), each with its own gradient and learning rate."""

import torch
from torch import nn
from torch.nn import functional as F

from ssl_platform.losses.clustering import soft_cross_entropy
from ssl_platform.masking.inverse_block import inverse_block_masks
from ssl_platform.nn.backbones import build
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.nn.heads import PrototypeHead
from ssl_platform.nn.predictor import CrossPredictor
from ssl_platform.objectives.base import Objective, Player
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss

K = 16


class CAPI(Objective):
    needs = Plan.single(offers=("tokens", "drop"))

    def build(self, backbone, models):
        self.teacher = Teacher(backbone)
        self.clusters = PrototypeHead(backbone.embed_dim, K)
        self.predictor = CrossPredictor(backbone.embed_dim, 64, 2, 4)
        self.head = PrototypeHead(backbone.embed_dim, K)

    def players(self, backbone):
        student = [*backbone.parameters(), *self.predictor.parameters(), *self.head.parameters()]
        return [
            Player("student", [p for p in student if p.requires_grad]),
            Player(
                "clustering", list(self.clusters.parameters()), lr=0.5, clip=1.0, active=lambda step: step.step >= 2
            ),
        ]

    def forward(self, backbone, views):
        view = views[0]
        tokens = backbone.tokenize(view)
        visible, masked = inverse_block_masks(tokens, 0.65, view.random)
        with torch.no_grad():
            full = F.normalize(self.teacher.backbone(view).tokens, dim=-1)
            scores = self.clusters(full)
            codes = sinkhorn(scores, 0.06, 3, per_position=True)
        clustering = soft_cross_entropy(self.clusters(full.detach()), codes, 0.12)
        predicted = self.predictor(backbone.encode(tokens, visible), masked.gather(tokens.coords))
        student = soft_cross_entropy(self.head(F.normalize(predicted, dim=-1)), masked.gather(codes), 0.12)
        return Loss(
            student + clustering, {"student": student, "clustering": clustering}, {"teacher_probs": codes.flatten(0, 1)}
        )

    def after_step(self, step, backbone, watch, views):
        self.teacher.update(backbone, {}, 0.99)


def test_two_players_move_on_their_own_terms():
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)
    method = CAPI()
    before = {}

    def batches(number):
        if number == 2:
            before["clusters"] = [p.clone() for p in method.clusters.parameters()]
            before["start"] = start
        return toy_batch(8, start=8 * number)

    torch.manual_seed(0)
    first = fit(method, backbone, layout, batches=lambda n: toy_batch(8), steps=1, window=(16, 16))
    start = [p.clone() for p in method.clusters.parameters()]
    done = fit(method, backbone, layout, batches=batches, steps=12, window=(16, 16), build=False)
    assert all(torch.equal(a, b) for a, b in zip(before["clusters"], start, strict=True)), "inactive player moved"
    assert any(not torch.equal(a, b) for a, b in zip(method.clusters.parameters(), start, strict=True))
    assert done.losses[-1] < first.losses[0]

    # A term reaches only its player.
    method.zero_grad(), backbone.zero_grad()
    loss = method(backbone, done.views)
    loss.terms["student"].backward(retain_graph=True)
    assert all(p.grad is None for p in method.clusters.parameters())
    method.zero_grad(), backbone.zero_grad()
    loss.terms["clustering"].backward()
    assert all(p.grad is None for p in backbone.parameters())
    assert all(isinstance(p, nn.Parameter) and p.grad is not None for p in method.clusters.parameters())
