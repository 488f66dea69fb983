"""Card 126 (the loss itself is tested under tests/unit/losses)."""

import torch

from ssl_platform.objectives.base import total_of
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch
from ssl_platform.types import Views


def built(**settings):
    torch.manual_seed(0)
    method, backbone = small("simclr", **settings), small_backbone()
    method.build(backbone, {})
    return method, backbone


def test_symmetric_under_exchange_of_views_and_permutation_of_samples() -> None:
    method, backbone = built()
    views = small_views(method, toy_batch(8))
    loss = float(total_of(method(backbone, views)).total)
    swapped = float(total_of(method(backbone, Views([views[1], views[0]]))).total)
    order = torch.randperm(8)
    shuffled = Views([v.replace(x=v.x[order], draws=None, geometry=None) for v in views])
    assert abs(loss - swapped) < 1e-5
    assert abs(loss - float(total_of(method(backbone, shuffled)).total)) < 1e-5


def test_pairs_of_one_group_can_be_left_out_of_the_negatives() -> None:
    method, backbone = built()
    other, _ = built(negatives="other-groups")
    views = small_views(method, toy_batch(8))
    assert float(total_of(other(backbone, views)).total) < float(total_of(method(backbone, views)).total)
    alone = Views([v.replace(group=torch.arange(8)) for v in views])
    assert float(total_of(other(backbone, alone)).total) == float(total_of(method(backbone, alone)).total)
