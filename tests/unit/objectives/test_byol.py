"""Card B02."""

import pytest
import torch

from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def test_momentum_counts_optimiser_steps_from_m0_to_1() -> None:
    torch.manual_seed(0)
    method, backbone = small("byol", momentum=0.9), small_backbone()
    method.build(backbone, {})
    seen = []
    method.teacher.update = lambda b, heads, momentum: seen.append(momentum)
    for number in (0, 5, 10):
        method.after_step(Step(number, 10), backbone, [], [])
    assert seen[0] == 0.9 and abs(seen[1] - 0.95) < 1e-9 and seen[2] == 1.0


@pytest.mark.slow  # the collapsed controls of tests/e2e train in every run
def test_without_predictor_it_collapses_and_with_it_not() -> None:
    """Spread of the unit-length projections over a batch: 1 when they point everywhere, 0 when they are all alike."""

    def spread(predictor: bool) -> float:
        torch.manual_seed(0)
        method, backbone = small("byol", predictor=predictor, momentum=0.0), small_backbone(depth=1)
        batches = lambda n: toy_batch(16, start=16 * (n % 2))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 40, window=(16, 16), lr=3e-2)
        with torch.no_grad():
            z = torch.nn.functional.normalize(method.projector(backbone(done.views[0]).pooled), dim=-1)
        return float(z.std(0).mean()) * z.shape[1] ** 0.5

    assert spread(True) > 0.7
    assert spread(False) < 0.2
