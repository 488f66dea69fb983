"""OBoW: from a crop, predict which visual words the slow teacher finds in the whole view; the words renew themselves.

Departures from the published code: any number of words works (the queue is a ring), the average around a place is over
the neighbours that exist, the moving average of distances starts at the first batch's, maps of fewer than five cells
keep their border, and nets without a pyramid have one level, their tokens, so that point sets work too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.distributed import all_mean
from ssl_platform.errors import ConfigError
from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.words import bag_of_words, kl_divergence, squared_distances
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.nn.vocabulary import Level, Vocabulary, level_dims, levels_of
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import LocalCrops, Momentum, Positive, Size
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.schedules import cosine
from ssl_platform.types import Loss, Step, View, Views


class OBoWConfig(ObjectiveConfig):
    """Settings of OBoW."""

    words: Size = Field(8192, description="visual words, the newest local features of the teacher")
    levels: Size = Field(2, description="last levels of the backbone's pyramid that have words; tokens are one level")
    inv_delta: Positive = Field(15.0, description="sharpness of the assignment, over the usual distance to a word")
    kappa: Positive = Field(8.0, description="scale of the prediction's logits")
    distance_momentum: float = Field(0.99, ge=0, lt=1, description="of the moving average of distances")
    global_crops: Size = Field(2, description="medium crops the student sees")
    local_crops: LocalCrops = 5
    momentum: Momentum = 0.99


def _needs(c: OBoWConfig) -> Plan:
    full = ViewSpec("full", scale=(1.0, 1.0), photometric=False)
    medium, small = ViewSpec("global", count=c.global_crops), ViewSpec("local", count=c.local_crops)
    return Plan((full, medium, small) if c.local_crops else (full, medium), offers=("tokens",))


@objective(
    "obow",
    needs=_needs,
    paper="Gidaris et al.: OBoW: Online Bag-of-Visual-Words Generation for Self-Supervised Learning, CVPR 2021, "
    "arXiv:2012.11552, eq. 1-6",
)
class OBoW(Objective):
    """Predict the teacher's bag of visual words of the whole view from each of the student's crops."""

    Config = OBoWConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the teacher, and for every level a vocabulary and the net that turns words into weights."""
        c, out = self.config, backbone.embed_dim
        self.teacher = Teacher(backbone)
        dims = level_dims(backbone, c.levels)
        self.vocabularies = nn.ModuleList([Vocabulary(c.words, dim) for dim in dims])
        self.generators = nn.ModuleList([mlp(dim, 2 * out, out) for dim in dims])
        self.first = False

    def before_step(self, step: Step) -> None:
        """Refuse a vocabulary that one step would overwrite more than once."""
        self.first = step.step == 0
        if step.batch > self.config.words:
            raise ConfigError(
                f"objective.words={self.config.words} is below the batch of {step.batch}, which brings a word each: "
                f"use at least {step.batch} words or a smaller data.batch_size"
            )

    def vocabulary(self, level: int) -> Vocabulary:
        """The words of one level."""
        found = self.vocabularies[level]
        assert isinstance(found, Vocabulary)
        return found

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Sum over kinds of crop of the mean divergence over levels, crops and samples."""
        whole = views["full"][0]
        watch: dict[str, Tensor] = {}
        bags = []
        with torch.no_grad():
            features = self.teacher.backbone(whole)
            for number, level in enumerate(levels_of(features, whole, self.config.levels)):
                bag, distance = self.bag(level, number)
                watch |= {f"distance{number}": distance, f"words{number}": self.new_words(level, whole, number)}
                bags.append(bag)
        weights = [self.weights(number) for number in range(len(bags))]

        crops = views[1:]
        vectors = pooled(backbone, crops)
        terms = {}
        for role in dict.fromkeys(crop.role for crop in crops):
            mine = [vector for vector, crop in zip(vectors, crops, strict=True) if crop.role == role]
            logits = [self.config.kappa * torch.cat(mine) @ weight.T for weight in weights]
            terms[role] = mean_of([kl_divergence(p, y.repeat(len(mine), 1)) for p, y in zip(logits, bags, strict=True)])
        watch |= {"embedding": mean_of(vectors[: self.config.global_crops]), "teacher_probs": bags[-1]}
        return Loss(torch.stack(tuple(terms.values())).sum(), terms, watch)

    def bag(self, level: Level, number: int) -> tuple[Tensor, Tensor]:
        """`[B, K]` bag of words of a level, and this rank's share of the mean distance to the nearest word."""
        vocabulary = self.vocabulary(number)
        distances = squared_distances(level.features, vocabulary.content())
        mean = masked_mean(distances.amin(dim=-1), level.valid)
        usual = all_mean(mean) if self.first else vocabulary.nearest
        return bag_of_words(distances, self.config.inv_delta / usual.clamp_min(1e-12), level.valid), mean

    def new_words(self, level: Level, view: View, number: int) -> Tensor:
        """`[B, C]` a new word from every sample."""
        return level.words(view.random.uniform(f"obow/word{number}", level.features.shape[1]))

    def weights(self, level: int) -> Tensor:
        """`[K, D]` unit weights of the prediction, generated from a level's words."""
        words = F.normalize(self.vocabulary(level).content(), dim=1)
        return F.normalize(self.generators[level](words), dim=1)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher and the usual distances, then put each sample's word over the oldest ones."""
        c = self.config
        self.teacher.update(backbone, {}, cosine(c.momentum, 1.0, step.progress))
        for number in range(len(self.vocabularies)):
            vocabulary = self.vocabulary(number)
            distance = all_mean(mean_of([w[f"distance{number}"] for w in watch])).to(vocabulary.nearest.dtype)
            vocabulary.nearest.lerp_(distance, 1.0 if step.step == 0 else 1.0 - c.distance_momentum)
            vocabulary.push(torch.cat([w[f"words{number}"] for w in watch]))
