"""Card 065."""

import torch

from ssl_platform.masking.multi_block import multi_block_masks
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch


def built():
    torch.manual_seed(0)
    method, backbone = small("i-jepa"), small_backbone()
    method.build(backbone, {})
    return method, backbone


def test_target_pixels_reach_the_teacher_and_not_the_context() -> None:
    method, backbone = built()
    view = small_views(method, toy_batch(4))[0]
    tokens = backbone.tokenize(view)
    context, targets = multi_block_masks(tokens, view.random, 4, (0.15, 0.2), (0.75, 1.5), (0.85, 1.0))
    hidden = (targets.dense().any(1)).view(4, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    changed = view.replace(x=torch.where(hidden, view.x + 1.0, view.x))
    assert torch.equal(
        backbone.encode(tokens, context).tokens, backbone.encode(backbone.tokenize(changed), context).tokens
    )
    teacher = method.teacher.backbone
    assert not torch.equal(teacher(view).tokens, teacher(changed).tokens)


def test_an_oracle_predictor_has_no_loss() -> None:
    method, backbone = built()
    view = small_views(method, toy_batch(4))[0]
    full = method.teacher.backbone(view).tokens
    target = torch.nn.functional.layer_norm(full, full.shape[-1:])

    class Oracle(torch.nn.Module):
        def forward(self, features, coords, valid=None):
            b, m, k, s = coords.shape
            everywhere = backbone.tokenize(view).coords
            nearest = torch.cdist(coords.reshape(b, m * k, s), everywhere).argmin(-1)
            return target.gather(1, nearest[..., None].expand(-1, -1, target.shape[-1])).view(b, m, k, -1)

    method.predictor = Oracle()
    assert float(total_of(method(backbone, [view])).total) < 1e-10


def test_permuting_the_targets_permutes_the_predictions() -> None:
    method, backbone = built()
    view = small_views(method, toy_batch(4))[0]
    tokens = backbone.tokenize(view)
    context, targets = multi_block_masks(tokens, view.random, 4, (0.15, 0.2), (0.75, 1.5), (0.85, 1.0))
    features, coords = backbone.encode(tokens, context), targets.gather(tokens.coords)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        method.predictor(features, coords)[:, order], method.predictor(features, coords[:, order])
    )
