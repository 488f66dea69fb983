"""Card B04. Its kNN line is a learning comparison with MAE on a data set and belongs to the learning table."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import info_nce
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, make, small, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def test_loss_written_out_with_loops() -> None:
    method, backbone = built("moco-v3")
    method.double(), backbone.double()
    views = small_views(method, toy_batch(6))
    views = [v.replace(x=v.x.double()) for v in views]
    loss = float(total_of(method(backbone, views)).total)

    student = [method.predictor(method.projector(backbone(v).pooled)) for v in views]
    teacher = method.teacher
    keys = [teacher.head("projector", teacher.backbone(v).pooled) for v in views]
    total = 0.0
    for q, k in ((student[0], keys[1]), (student[1], keys[0])):
        similarity = F.normalize(q, dim=1) @ F.normalize(k, dim=1).T
        for i in range(6):
            row = [math.exp(float(similarity[i, j]) / 0.2) for j in range(6)]
            total -= 2 * 0.2 * math.log(row[i] / sum(row)) / 6
    assert loss == pytest.approx(total, rel=1e-9)


def test_keys_all_alike_give_its_no_learning_value() -> None:
    method, backbone = built("moco-v3", temperature=0.5)
    for module in (method.projector, method.predictor):
        torch.nn.init.zeros_(module[-2].weight)  # a batch norm without gain follows: everything becomes zero
    make_alike = total_of(method(backbone, small_views(method, toy_batch(8)))).total
    assert float(make_alike) == pytest.approx(2 * (2 * 0.5 * math.log(8)), abs=1e-5) == method.trivial(8)


def test_the_gradients_scale_does_not_depend_on_the_temperature() -> None:
    """Queries at right angles to all keys: every similarity is 0, whatever T."""
    keys = torch.eye(8, dtype=torch.float64)[:4]
    query = torch.eye(8, dtype=torch.float64)[4:].requires_grad_()
    gradients = [torch.autograd.grad(2 * t * info_nce(query, keys, t), query)[0] for t in (0.1, 0.2, 1.0)]
    assert gradients[0].norm() > 0.1
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0])


@pytest.mark.parametrize("rank", [1, 3])
def test_the_patch_embedding_stays_bit_identical_and_everything_else_moves(rank: int) -> None:
    method, backbone = built("moco-v3", rank)
    before = copy.deepcopy(backbone.state_dict())
    batches = lambda n: toy_batch(8, rank, start=8 * n)  # noqa: E731
    fit(method, backbone, toy_layout(rank), batches, 4, window=(16,) * rank, build=False)
    moved = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    trained = {name for name, _ in backbone.named_parameters()}
    assert trained - moved == {"tokenizer.embed.weight", "tokenizer.embed.bias"}
    free, net = built("moco-v3", freeze_patch_embed=False)
    assert all(p.requires_grad for p in net.parameters()) and len(free.players(net)[0].parameters) > len(trained)


def test_channel_tokenizers_freeze_their_patch_embedding_and_point_groups_have_none() -> None:
    channels = build("vit-pico", toy_layout(2, 2, ragged=True), ("c0", "c1"), (16, 16), (4, 4), depth=1)
    points = build("vit-pico", toy_layout(channels=1, points=True), ("x", "y", "z"), (64,), (8,), depth=1)
    for backbone in (channels, points):
        make(small("moco-v3"), backbone)
    frozen = {n for n, p in channels.named_parameters() if not p.requires_grad}
    assert frozen == {"tokenizer.embed.weight", "tokenizer.embed.bias"}
    assert all(p.requires_grad for p in points.parameters())


def test_momentum_rises_from_its_start_to_1() -> None:
    method, backbone = built("moco-v3", momentum=0.9)
    seen = []
    method.teacher.update = lambda b, heads, momentum: seen.append(momentum)
    for number in (0, 5, 10):
        method.after_step(Step(number, 10), backbone, [], [])
    assert seen == pytest.approx([0.9, 0.95, 1.0])
