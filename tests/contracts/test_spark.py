"""Card B16: a dense mask in a convolutional net; masked places never leak and are exactly zero."""

import torch
from torch import nn

from ssl_platform.masking.random import random_grid_masks
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import Objective
from ssl_platform.plan import Plan
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss


class SparK(Objective):
    needs = Plan.single(offers=("pyramid", "sparse"), grid=True)

    def build(self, backbone, models):
        self.decode = nn.ConvTranspose2d(backbone.embed_dim, 1, kernel_size=8, stride=8)

    def forward(self, backbone, views):
        view = views[0]
        visible, masked = random_grid_masks((len(view), 2, 2), 0.5, view.random)
        features = backbone(view, visible)
        coarse, stride = features.pyramid[-1]
        assert stride == 8
        hidden = masked.to((16, 16)).view(len(view), 1, 16, 16)
        error = ((self.decode(coarse) - backbone.normalise(view).x) ** 2 * hidden).sum() / hidden.sum()
        return Loss(error, watch={"visible": visible.index})


def test_masked_places_are_zero_at_every_scale_and_do_not_leak():
    torch.manual_seed(0)
    layout = toy_layout(2)
    backbone = build("convnet-tiny", layout, ("c0",), (16, 16), (8, 8))
    method = SparK()
    done = fit(method, backbone, layout, lambda n: toy_batch(8, start=8 * (n % 2)), 30, window=(16, 16), lr=3e-3)
    assert sum(done.losses[-4:]) < sum(done.losses[:4])

    backbone.eval()
    view = done.views[0]
    visible, masked = random_grid_masks((len(view), 2, 2), 0.5, view.random)
    hidden = masked.to((16, 16)).view(-1, 1, 16, 16)
    changed = view.replace(x=torch.where(hidden, torch.full_like(view.x, 9.0), view.x))
    a, b = backbone(view, visible), backbone(changed, visible)
    for (map_a, stride), (map_b, _) in zip(a.pyramid, b.pyramid, strict=True):
        assert torch.equal(map_a, map_b)
        gone = masked.to((16 // stride, 16 // stride)).view(len(view), 1, *map_a.shape[2:])
        assert (map_a * gone == 0).all()
    dense = backbone(view).pyramid[-1][0], backbone(changed).pyramid[-1][0]
    assert not torch.equal(*dense), "control: the dense net sees masked cells"
