"""Card 151. No code and no verified figure are public; accuracy above both single-term controls is a learning check."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.masking.random import random_masks
from ssl_platform.objectives.contrastive.moco_v2 import MoCoV2, MoCoV2Config
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch


def built(rank: int = 2, **settings):
    torch.manual_seed(0)
    method, backbone = small("macrl", **{"queue": 16, "proj_dims": (32, 16), **settings}), small_backbone(rank)
    method.build(backbone, {})
    torch.nn.init.normal_(method.decoder.head.weight, std=0.1)
    return method, backbone


def test_without_masks_and_reconstruction_it_is_moco() -> None:
    alike = {"strong_photometric": True, "weak_photometric": True, "strong_ratio": 0.0, "weak_ratio": 0.0}
    method, backbone = built(reconstruction=0.0, **alike)
    views = small_views(method, toy_batch(8))
    moco = MoCoV2(MoCoV2Config(queue=16, proj_dims=(32, 16)))
    torch.manual_seed(0)
    moco.build(backbone, {})
    moco.load_state_dict(method.state_dict(), strict=False)
    loss, expected = method(backbone, views), moco(backbone, views)
    torch.testing.assert_close(loss.total, expected.total, atol=1e-6, rtol=0)
    torch.testing.assert_close(loss.watch["keys"], expected.watch["keys"])


@pytest.mark.parametrize(("role", "ratio"), [("strong", 0.75), ("weak", 0.5)])
def test_reconstruction_is_an_autoencoders_with_absolute_errors(role: str, ratio: float) -> None:
    """Written again with loops in float64: every masked patch against its own normalised content."""
    method, backbone = built(contrast=0.0)
    method.double(), backbone.double()
    views = {v.role: v.replace(x=v.x.double()) for v in small_views(method, toy_batch(3))}
    view = views[role]
    tokens = backbone.tokenize(view)
    visible, masked = random_masks(tokens, ratio, view.random)
    prediction = method.decoder(backbone.encode(tokens, visible), masked.gather(tokens.coords))
    errors = []
    for b in range(3):
        for k, place in enumerate(masked.index[b].tolist()):
            i, j = divmod(place, 4)
            patch = view.x[b, 0, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].flatten()
            unit = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            errors += (prediction[b, k] - unit).abs().tolist()
    loss = method(backbone, list(views.values()))
    assert abs(float(loss.terms[role].detach()) - sum(errors) / len(errors)) < 1e-9
    torch.testing.assert_close(loss.total, loss.terms["strong"] + loss.terms["weak"])


def test_total_is_the_weighted_sum() -> None:
    method, backbone = built(contrast=0.7, reconstruction=0.3)
    loss = method(backbone, small_views(method, toy_batch(4)))
    t = loss.terms
    torch.testing.assert_close(loss.total, 0.7 * t["contrast"] + 0.3 * (t["strong"] + t["weak"]))


def test_no_gradient_of_the_contrast_reaches_the_key_branch() -> None:
    method, backbone = built()
    strong, weak = small_views(method, toy_batch(4))
    strong.x.requires_grad_(), weak.x.requires_grad_()
    contrast = method(backbone, [strong, weak]).terms["contrast"]
    by_query, by_key = torch.autograd.grad(contrast, [strong.x, weak.x], allow_unused=True)
    assert by_query.abs().sum() > 0 and by_key is None
    assert not any(p.requires_grad for p in method.teacher.parameters())


def test_visible_patches_are_no_targets() -> None:
    method, backbone = built()
    views = small_views(method, toy_batch(4))
    before = method(backbone, views).terms
    targets = backbone.targets

    def other(view):
        ratio = method.config.strong_ratio if view.role == "strong" else method.config.weak_ratio
        visible, _ = random_masks(backbone.tokenize(view), ratio, view.random)
        return torch.where(visible.dense()[..., None], 100.0, targets(view))

    backbone.targets = other
    after = method(backbone, views).terms
    assert all(torch.equal(before[name], after[name]) for name in ("strong", "weak"))


def test_the_queue_takes_the_keys_of_the_weak_view() -> None:
    from ssl_platform.types import Step

    method, backbone = built()
    views = small_views(method, toy_batch(8))
    loss = method(backbone, views)
    method.after_step(Step(0, 10), backbone, [{k: v.detach() for k, v in loss.watch.items()}], [views])
    assert torch.equal(method.queue.content()[:8], loss.watch["keys"])
    assert torch.equal(method.queue_ids.content()[:8], views[1].index)
