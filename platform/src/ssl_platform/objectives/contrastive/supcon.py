"""SupCon: all views of a class are one another's positives; labels needed, unknown ones fall back to SimCLR.

Departures from the published code: positives and negatives are those of the global batch; several classes an item (0/1
columns) weigh a pair by what the two share; the factor `temperature / base_temperature` of the code is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.pairs import supcon
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Temperature, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


@objective(
    "supcon",
    needs=Plan.augmented(2, labels="required", batch_coupled=True, min_batch=2),
    paper="Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan: Supervised Contrastive Learning, "
    "NeurIPS 2020, arXiv:2004.11362, eq. 2",
)
class SupCon(Objective):
    """Contrast with every view of the same class as a positive."""

    class Config(ObjectiveConfig):
        """Settings of SupCon."""

        proj_dims: Widths = (2048, 128)
        temperature: Temperature = 0.1
        inside: bool = Field(False, description="average positives inside the logarithm: the weaker form, eq. 3")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector."""
        self.projector = mlp(backbone.embed_dim, *self.config.proj_dims, norm=None)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """SupCon over the two views of all samples.

        Raises:
            ConfigError: there are no labels, or they are numbers rather than classes.
        """
        label = views[0].label
        if label is None or (label.ndim == 1 and label.is_floating_point()):
            what = "none" if label is None else "numbers"
            raise ConfigError(f"supcon needs classes as labels, got {what}: give --labels, or use simclr")
        features = pooled(backbone, views)
        z = torch.stack([self.projector(f) for f in features], dim=1)
        loss = supcon(z, label, self.config.temperature, inside=self.config.inside)
        return Loss(loss, watch={"embedding": mean_of(features)})

    def trivial(self, batch: int) -> float:
        """`log(2 B - 1)`: all embeddings alike."""
        return math.log(max(1, 2 * batch - 1))
