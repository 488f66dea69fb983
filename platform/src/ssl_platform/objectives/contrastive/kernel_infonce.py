"""Kernel-InfoNCE: SimCLR with `exp(-distance^gamma / tau)` for similarity, alone or mixed with the Gaussian kernel.

The losses of two kernels are mixed, as the published code does (the paper writes the sum of kernel values). Departure
from that code: distances are kept off zero, where roots have no slope.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from ssl_platform.losses.pairs import kernel_info_nce
from ssl_platform.objectives.base import objective
from ssl_platform.objectives.contrastive.simclr import SimCLR
from ssl_platform.objectives.settings import Positive, Temperature
from ssl_platform.plan import Plan


@objective(
    "kernel-infonce",
    needs=Plan.augmented(2, groups=True, batch_coupled=True, min_batch=2),
    paper="Tan, Zhang, Yang, Yuan: Contrastive Learning Is Spectral Clustering On Similarity Graph, ICLR 2024, "
    "arXiv:2303.15103, section 5",
)
class KernelInfoNCE(SimCLR):
    """SimCLR with a Laplacian or heavier-tailed kernel, or a mixture with the Gaussian one."""

    class Config(SimCLR.Config):
        """Settings of Kernel-InfoNCE."""

        temperature: Temperature = 0.1
        gamma: Positive = Field(1.0, description="exponent of the distance: 2 Gaussian, 1 Laplacian, 0.5 heavier tail")
        mixture: Literal["none", "sum", "concatenation"] = Field(
            "sum", description="with the Gaussian kernel: none, on the same embedding, or each on half its dimensions"
        )
        share: float = Field(0.5, ge=0, le=1, description="weight of the kernel with gamma in the mixture")

    def contrast(self, a: Tensor, b: Tensor, group: Tensor | None) -> Tensor:
        """The loss of the kernel or mixture; a concatenation gives the first half of the dimensions to `gamma`."""
        c = self.config
        if c.mixture == "none":
            return kernel_info_nce(a, b, c.temperature, c.gamma, group)
        half = a.shape[1] // 2 if c.mixture == "concatenation" else 0
        first = (a[:, :half], b[:, :half]) if half else (a, b)
        other = kernel_info_nce(*first, c.temperature, c.gamma, group)
        gaussian = kernel_info_nce(a[:, half:], b[:, half:], c.temperature, 2.0, group)
        return c.share * other + (1 - c.share) * gaussian
