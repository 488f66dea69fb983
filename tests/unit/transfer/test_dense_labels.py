import math

import torch
from monai.losses import DiceCELoss

from ssl_platform.transfer.dense_labels import carry_labels, dice_cross_entropy
from ssl_platform.types import Geometry, PartBatch


def mask_of(data: torch.Tensor, spacing: float = 2.0, origin: float = 4.0) -> PartBatch:
    b, s = len(data), data.ndim - 2
    return PartBatch(data, None, None, torch.full((b, s), spacing), torch.full((b, s), origin), ("mask",))


def test_labels_follow_flip_crop_and_scale() -> None:
    labels = torch.arange(36).view(1, 1, 6, 6)
    item = torch.zeros(1, dtype=torch.int64)
    whole = Geometry(torch.diag_embed(torch.full((1, 2), 12.0)), torch.full((1, 2), 4.0), item)
    assert torch.equal(carry_labels(mask_of(labels), whole, (6, 6), 255), labels[:, 0])
    flipped = Geometry(torch.diag_embed(torch.tensor([[12.0, -12.0]])), torch.tensor([[4.0, 16.0]]), item)
    assert torch.equal(carry_labels(mask_of(labels), flipped, (6, 6), 255), labels[:, 0].flip(2))
    crop = Geometry(torch.diag_embed(torch.full((1, 2), 4.0)), torch.full((1, 2), 8.0), item)
    assert torch.equal(carry_labels(mask_of(labels), crop, (2, 2), 255), labels[:, 0, 2:4, 2:4])
    doubled = carry_labels(mask_of(labels), crop, (4, 4), 255)
    assert torch.equal(doubled, labels[:, 0, 2:4, 2:4].repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_cells_beyond_the_mask_are_ignored() -> None:
    labels = torch.ones(1, 1, 4, 4, dtype=torch.long)
    far = Geometry(torch.eye(2)[None] * 16, torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    got = carry_labels(mask_of(labels), far, (8, 8), 255)
    assert (got[0, 2:6, 2:6] == 1).all() and (got == 255).sum() == 64 - 16


def test_loss_equals_monai_and_skips_ignored_cells() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 5, 6, 7), torch.randint(0, 3, (2, 5, 6, 7))
    oracle = DiceCELoss(softmax=True, to_onehot_y=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)
    torch.testing.assert_close(
        dice_cross_entropy(logits, target, 255), oracle(logits, target[:, None]), atol=1e-5, rtol=0
    )
    holes = target.clone()
    holes[:, :2] = 255
    cut = dice_cross_entropy(logits[:, :, 2:], target[:, 2:], 255)
    torch.testing.assert_close(dice_cross_entropy(logits, holes, 255), cut)
    wild = logits.clone()
    wild[:, :, :2] = 1e4
    torch.testing.assert_close(dice_cross_entropy(wild, holes, 255), cut)
    nothing = dice_cross_entropy(logits, torch.full_like(target, 255), 255)
    assert math.isfinite(float(nothing))
