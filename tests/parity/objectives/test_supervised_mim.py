"""Card 010. Whether retrieval is no worse than of the supervised control is a row of the learning table.

That the decoder's masked-token accuracy passes the most frequent code's rate is a slow test here.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.objectives.base import TrainingSet, total_of
from ssl_platform.objectives.masked.supervised_mim import SupervisedMIM, SupervisedMIMConfig
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import CLASSES, ITEMS, built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout


def plain(batch: int = 8, **settings: Any) -> tuple[SupervisedMIM, Any]:
    torch.manual_seed(0)
    method, backbone = SupervisedMIM(SupervisedMIMConfig(**settings)), small_backbone()
    method.data = TrainingSet(ITEMS, CLASSES)
    method.build(backbone, {})
    return method, backbone


def test_without_masks_and_weight_it_is_the_supervised_baseline() -> None:
    """Loss and gradients of a linear classifier on the whole view, bit for bit."""
    method, backbone = plain(mask_ratio=0.0, weight=0.0)
    assert {name for name, _ in method.named_children()} == {"classifier"}
    assert not method.plan(method.config).models
    views = small_views(method, toy_batch(8))
    assert method.trivial(8) == pytest.approx(float(total_of(method(backbone, views)).total))
    classifier = nn.Linear(backbone.embed_dim, CLASSES)
    for module in (classifier, method.classifier):
        torch.manual_seed(3)
        nn.init.normal_(module.weight)
        nn.init.zeros_(module.bias)
    found, label = total_of(method(backbone, views)).total, views[0].label
    assert label is not None
    found.backward()
    gradients = [p.grad.clone() for p in backbone.parameters()]
    backbone.zero_grad()
    expected = F.cross_entropy(classifier(backbone(views[0]).pooled), label)
    expected.backward()
    assert torch.equal(found, expected)
    assert all(torch.equal(a, p.grad) for a, p in zip(gradients, backbone.parameters(), strict=True))


def test_the_sum_has_its_weight_and_unknown_labels_count_nowhere() -> None:
    method, backbone = built("supervised-mim", weight=0.5)
    views = small_views(method, toy_batch(8))
    loss = total_of(method(backbone, views))
    torch.testing.assert_close(loss.total, loss.terms["supervised"] + 0.5 * loss.terms["masked"])
    assert views[0].label is not None
    unknown = views[0].replace(label=torch.full_like(views[0].label, -1))
    blind = total_of(method(backbone, [unknown]))
    assert float(blind.terms["supervised"]) == 0
    assert torch.equal(blind.terms["masked"], loss.terms["masked"])
    with pytest.raises(ConfigError, match="class"):
        method(backbone, [views[0].replace(label=torch.rand(8))])
    method.data = TrainingSet(ITEMS, 0)
    with pytest.raises(ConfigError, match="classes"):
        method.build(backbone, {})


def test_raw_content_is_maes_target_and_the_decoder_stays_behind() -> None:
    one = {"decoder_dim": 48, "decoder_heads": 4, "decoder_depth": 1, "mask_ratio": 0.75}
    mae, backbone = built("mae", **one)
    method = SupervisedMIM(SupervisedMIMConfig(target="content", **one))
    method.data = TrainingSet(ITEMS, CLASSES)
    method.build(backbone, {})
    method.decoder.load_state_dict(mae.decoder.state_dict())
    views = small_views(method, toy_batch(4))
    torch.testing.assert_close(total_of(method(backbone, views)).terms["masked"], total_of(mae(backbone, views)).total)
    export = method.export(backbone)
    assert set(export.parts) == {"classifier"} and export.encoder is backbone


@pytest.mark.slow
def test_masked_codes_are_predicted_better_than_by_the_most_frequent_one() -> None:
    torch.manual_seed(0)
    method, backbone = small("supervised-mim"), small_backbone()
    make(method, backbone)
    fit(
        method,
        backbone,
        toy_layout(2),
        lambda n: toy_batch(32, start=32 * n, items=512),
        200,
        window=(16, 16),
        lr=2e-3,
        build=False,
    )
    views = small_views(method, toy_batch(128, start=10_000))
    accuracy = float(total_of(method(backbone, views)).terms["accuracy"])
    assert isinstance(method, SupervisedMIM)
    codes, _ = method.codes(views[0], backbone.tokenize(views[0]))
    frequent = float(torch.bincount(codes.flatten()).max() / codes.numel())
    assert accuracy > frequent + 0.1, (accuracy, frequent)
