"""MFM: hide low or high spatial frequencies of a view and restore them, judged by the spectrum.

Nothing is masked in space, so any net that gives a map or tokens will do. Departures from the published code: any rank,
the radius scales with the view, filtered views are limited to the range of values each channel of the sample has (the
published ones to 0..1), invalid cells hold the sample's mean and count as zero in both spectra.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.frequency import spectrum_error
from ssl_platform.masking.frequency import clamp_to, filled, keep_frequencies, low_frequencies
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.pixel_shuffle import PixelShuffle
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import Positive
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views


@objective(
    "mfm",
    needs=Plan.single(offers=("tokens",), grid=True),
    paper="Xie, Li, Zhan, Liu, Ong, Loy: Masked Frequency Modeling for Self-Supervised Visual Pre-Training, "
    "ICLR 2023, arXiv:2206.07706",
)
class MFM(Objective):
    """Restore the frequencies that were removed from a view."""

    class Config(ObjectiveConfig):
        """Settings of MFM."""

        radius: Positive = Field(16.0, description="of the sphere of low frequencies, in periods over 224 cells")
        low_pass: float = Field(
            0.5, ge=0, le=1, description="share of samples that keep the low frequencies (CNNs: 0.3)"
        )
        gamma: float = Field(1.0, ge=1, description="power of the distance between coefficients")
        clamp: bool = Field(True, description="whether filtered views keep to the range of values they had")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the linear decoder."""
        self.decoder = PixelShuffle(backbone)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean distance of the coefficients that were removed."""
        view = views[0]
        kept = self.kept(view)
        features = backbone(self.corrupt(view, kept))
        image = self.decoder(backbone, features, view)
        if view.valid is not None:
            image = torch.where(view.valid[:, None], image, torch.zeros((), dtype=image.dtype, device=image.device))
        target = backbone.normalise(view).x
        loss = spectrum_error(image, target, ~kept, view.channel_valid, self.config.gamma)
        return Loss(loss, watch={"embedding": features.pooled})

    def kept(self, view: View) -> Tensor:
        """`[B, *size]` bool frequencies that stay: the low ones or all others, drawn sample by sample."""
        low = low_frequencies(view.x.shape[2:], self.config.radius, view.x.device)
        keep_low = view.random.chance("frequency/low", self.config.low_pass)
        return low == keep_low.view(-1, *[1] * low.ndim)

    def corrupt(self, view: View, kept: Tensor) -> View:
        """The raw view with the kept frequencies only."""
        x = filled(view.x, view.valid, view.channel_valid)
        part = keep_frequencies(x, kept)
        return view.replace(x=clamp_to(part, x) if self.config.clamp else part)
