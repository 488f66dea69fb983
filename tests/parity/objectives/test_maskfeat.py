"""Card B13; the histograms themselves are held to their definition in tests/unit/targets/test_hog.py.

The comparison of fine-tuned encoders on the card needs ImageNet; its small twin is MaskFeat in the learning table.
"""

from __future__ import annotations

import pytest
import torch

from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.maskfeat import MaskFeat
from ssl_platform.testing.objectives import built, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Mask, Tokens, View


def test_pixels_as_target_are_simmim_with_squared_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    features, backbone = built("maskfeat", target="pixels")
    raw, _ = built("simmim", loss="l2", norm_pix=True)
    raw.load_state_dict(features.state_dict())
    views = small_views(features, toy_batch(4))
    chosen = {}

    def remember(tokens: Tokens, *args: object, **settings: object) -> object:
        chosen["masks"] = original(tokens, *args, **settings)
        return chosen["masks"]

    from ssl_platform.objectives.masked import maskfeat

    original = maskfeat.block_masks
    monkeypatch.setattr(maskfeat, "block_masks", remember)
    expected = total_of(features(backbone, views)).total
    monkeypatch.setattr(raw, "mask", lambda *args: chosen["masks"])
    torch.testing.assert_close(total_of(raw(backbone, views)).total, expected, atol=1e-6, rtol=1e-6)


def test_the_loss_is_the_mean_over_masked_tokens_and_values() -> None:
    method, backbone = built("maskfeat", channels=3)
    assert isinstance(method, MaskFeat)
    view = small_views(method, toy_batch(4, channels=3), channels=3)[0]
    target, valid = method.target(backbone, view)
    assert valid is None and not target.requires_grad and target.shape == (4, 16, 9 * 3)
    seen: dict[str, Mask] = {}
    inner = method.prediction.forward

    def watch(net: object, tokens: Tokens, masked: Mask) -> object:
        seen["masked"] = masked
        prediction, features = inner(net, tokens, masked)  # type: ignore[arg-type]
        return torch.zeros_like(prediction), features

    method.prediction.forward = watch  # type: ignore[assignment, method-assign]
    loss = total_of(method(backbone, [view])).total
    chosen = seen["masked"].dense()
    assert chosen.sum(1).tolist() == [7] * 4  # 16 - floor(0.6 * 16)
    torch.testing.assert_close(loss, target[chosen].square().mean())
    other: View = view.replace(x=view.x + 0.1)  # gradients do not see brightness
    torch.testing.assert_close(method.target(backbone, other)[0], target, atol=1e-4, rtol=1e-4)


def test_features_of_a_frozen_encoder_are_layer_normed_targets() -> None:
    torch.manual_seed(0)
    method, backbone, other = small("maskfeat", target="features"), small_backbone(), small_backbone()
    assert isinstance(method, MaskFeat)
    assert [name for name, _ in method.plan(method.config).models] == ["teacher"]
    method.build(backbone, {"teacher": Frozen(other)})
    views = small_views(method, toy_batch(4))
    target, _ = method.target(backbone, views[0])
    torch.testing.assert_close(target.mean(-1), torch.zeros(4, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(target.var(-1, correction=0), torch.ones(4, 16), atol=1e-3, rtol=0)
    total_of(method(backbone, views)).total.backward()
    assert all(p.grad is None for p in other.parameters())
