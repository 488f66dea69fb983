"""Card 003 (the terms themselves are tested under tests/unit/losses)."""

import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone
from ssl_platform.testing.toy import toy_batch, toy_layout


def test_without_the_variance_term_the_embedding_shrinks() -> None:
    def spread(var: float) -> float:
        torch.manual_seed(0)
        method, backbone = small("vicreg", var=var, cov=1.0 if var else 0.0), small_backbone()
        batches = lambda n: toy_batch(8, start=8 * (n % 2))  # noqa: E731
        views = ViewsConfig(strength=0.4)
        done = fit(method, backbone, toy_layout(2), batches, 60, window=(16, 16), lr=6e-3, views=views)
        with torch.no_grad():
            z = method.projector(backbone(done.views[0]).pooled)
        return float(z.std(0).mean())

    assert spread(0.0) < 0.1
    assert spread(25.0) > 0.5


def test_trivial_is_the_constant_embedding() -> None:
    assert abs(small("vicreg").trivial(8) - 24.75) < 1e-9
