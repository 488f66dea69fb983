"""DCL, debiased contrastive learning: SimCLR whose negatives are corrected for samples of the anchor's own class.

Not the decoupled loss of the same initials. Departures from the published code: N counts the negatives of the global
batch, and everything is computed relative to a row's largest term, so that no temperature overflows.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ssl_platform.losses.pairs import debiased_nt_xent
from ssl_platform.objectives.base import objective
from ssl_platform.objectives.contrastive.simclr import SimCLR
from ssl_platform.objectives.settings import Temperature
from ssl_platform.plan import Plan


@objective(
    "dcl",
    needs=Plan.augmented(2, groups=True, batch_coupled=True, min_batch=2),
    paper="Chuang, Robinson, Lin, Torralba, Jegelka: Debiased Contrastive Learning, NeurIPS 2020, arXiv:2007.00224, "
    "eq. 6-8",
)
class DCL(SimCLR):
    """SimCLR with debiased negatives."""

    class Config(SimCLR.Config):
        """Settings of DCL."""

        temperature: Temperature = 0.5
        tau_plus: float = Field(0.1, ge=0, lt=1, description="probability that another sample is of the same class")

    def contrast(self, a: Tensor, b: Tensor, group: Tensor | None) -> Tensor:
        """The debiased loss."""
        return debiased_nt_xent(a, b, self.config.temperature, self.config.tau_plus, group)
