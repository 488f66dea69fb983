"""Card 065 on a point set: the same objective file, no grid anywhere."""

import torch

from ssl_platform.nn.backbones import build
from ssl_platform.objectives.predictive.i_jepa import IJEPA
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout


def test_i_jepa_trains_on_point_groups():
    torch.manual_seed(0)
    layout = toy_layout(channels=1, points=True)
    backbone = build("vit-pico", layout, ("x", "y", "z"), (128,), (8,), depth=2)
    method = IJEPA(IJEPA.Config(predictor_dim=48, predictor_depth=2, predictor_heads=4))
    batches = lambda n: toy_batch(8, size=32, points=True, start=8 * (n % 2))  # noqa: E731
    done = fit(method, backbone, layout, batches, 16, window=(128,), lr=2e-3)
    tokens = backbone.tokenize(done.views[0])
    assert tokens.grid is None and tokens.coords.shape[-1] == 3
    assert sum(done.losses[-4:]) < sum(done.losses[:4])
    # The teacher moved, but was never differentiated.
    assert all(p.grad is None for p in method.teacher.parameters())
