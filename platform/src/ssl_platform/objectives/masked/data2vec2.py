"""data2vec 2.0: regress what the slow teacher says of the whole input at places the student did not see.

One teacher pass serves several masks of a sample. Departures from the published code: inverse block masks are exact
without single tokens added or removed, the noise of a sample is shared by its masks, the term of the class token is a
mean over samples (the published one is summed: multiply `cls_weight` by samples times masks for that), and collapse is
the health monitor's to call, so `health.stop=true` takes the place of the published error.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.latent import scaled_square_error
from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.inverse_block import inverse_block_sets
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.conv_decoder import ConvDecoder
from ssl_platform.nn.validity import valid_mean
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, MaskRatio, Momentum, Size, Weight
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import linear, resolve_duration
from ssl_platform.targets.layers import last_ffn, mean_of_layers
from ssl_platform.types import Features, Loss, Mask, Step, Tokens, View, Views


class Data2Vec2Config(ObjectiveConfig):
    """Settings of data2vec 2.0 (those of images)."""

    mask_ratio: MaskRatio = 0.8
    block: Size = Field(3, description="tokens along each axis of a block that stays visible")
    adjust: float = Field(0.07, ge=0, lt=1, description="fraction of tokens added to count blocks, as some overlap")
    masks: Size = Field(16, description="masks of a sample that share one teacher pass")
    layers: Size = Field(10, description="last blocks whose mean is the target; all of a shallower encoder")
    final_norm: bool = Field(True, description="whether the target is normalised over its features (not for audio)")
    noise: Weight = Field(0.01, description="standard deviation of what fills masked places")
    cls_weight: Weight = Field(0.01, description="of the class token's regression of the mean target")
    decoder_dim: DecoderDim = 768
    decoder_depth: DecoderDepth = 6
    kernel: Size = Field(3, description="tokens along each axis of the decoder's convolutions, odd")
    groups: Size = Field(16, description="groups of the decoder's features")
    momentum: Momentum = Field(0.9998, description="of the teacher's moving average at the start")
    final_momentum: float = Field(0.99999, ge=0, le=1, description="of the teacher's moving average after the rise")
    momentum_rise: str = Field("27%", description="length of its linear rise: steps, epochs or part of the run")


@objective(
    "data2vec2",
    needs=Plan.single(offers=("tokens", "drop", "taps")),
    paper="Baevski, Babu, Hsu, Auli: Efficient Self-supervised Learning with Contextualized Target Representations for "
    "Vision, Speech and Language, ICML 2023, arXiv:2212.07525",
)
class Data2Vec2(Objective):
    """Regress the mean of a teacher's last blocks at the masked tokens, several masks a sample."""

    Config = Data2Vec2Config

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the decoder and the teacher."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        self.decoder = ConvDecoder(
            backbone.embed_dim,
            c.decoder_dim,
            c.decoder_depth,
            tokenizer.rank,
            kernel=c.kernel,
            groups=c.groups,
            kinds=tokenizer.kinds,
            steps=backbone.steps,
        )
        self.teacher = Teacher(backbone)
        self.embed_dim = backbone.embed_dim

    @torch.no_grad()
    def target(self, view: View) -> tuple[Tensor, Features]:
        """`[B, N, D]` targets of all tokens, and the teacher's features."""
        teacher, c = self.teacher.backbone, self.config
        taps = last_ffn(c.layers, teacher.depth)
        full = teacher.encode(teacher.tokenize(view), taps=taps)
        prefix = full.prefix.shape[1]
        outputs = [full.taps[name][:, prefix:] for name in taps]
        return mean_of_layers(outputs, full.valid, final_norm=c.final_norm), full

    def regress(
        self, backbone: Backbone, tokens: Tokens, visible: Mask, masked: Mask, target: Tensor, noise: Tensor
    ) -> tuple[Tensor, Features]:
        """`[B, M, K]` error of every masked token, and the features of the visible ones."""
        features = backbone.encode(tokens, visible)
        everywhere = self.decoder(features, visible, tokens, noise)  # [B * M, N, D]
        places = Mask(masked.index.flatten(0, 1), masked.total, None, masked.grid)
        prediction = places.gather(everywhere).view(*masked.index.shape, -1)
        return scaled_square_error(prediction, masked.gather(target)), features

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean error over masked tokens, masks and samples, and the class token's."""
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        visible, masked = inverse_block_sets(
            tokens, c.mask_ratio, view.random, sets=c.masks, side=c.block, adjust=c.adjust
        )
        target, full = self.target(view)
        noise = c.noise * view.random.normal("noise", tokens.count, self.embed_dim)
        error, features = self.regress(backbone, tokens, visible, masked, target, noise)
        loss = regression = masked_mean(error, masked.valid)
        terms = {"regression": regression, "target_std": target.detach().flatten(0, 1).std(dim=0).mean()}
        if features.prefix.shape[1] and c.cls_weight:
            mean = valid_mean(target, tokens.valid).repeat_interleave(c.masks, dim=0)
            terms["cls"] = scaled_square_error(features.prefix[:, 0], mean).mean()
            loss = loss + c.cls_weight * terms["cls"]
        return Loss(loss, terms, {"embedding": full.pooled})

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises linearly, then stands."""
        c = self.config
        rise = max(1, resolve_duration(c.momentum_rise, step.total, step.epoch_steps))
        self.teacher.update(backbone, {}, linear(c.momentum, c.final_momentum, step.step / rise))

    def export(self, backbone: Backbone) -> Export:
        """The student's backbone; the decoder goes along."""
        return Export(encoder=backbone, parts={"decoder": self.decoder})

    def trivial(self, batch: int) -> float:
        """Predicting zero for features of unit variance costs `sqrt(D)`."""
        return float(self.embed_dim**0.5)
