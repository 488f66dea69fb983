"""VQ-KD: a tokenizer for BEiT, whose discrete codes must suffice to tell a frozen teacher's features.

Give a finished run to `beit` or `beit-v2` as `models.tokenizer=RUN`; its codebook goes along. With `target=pixels` no
teacher is needed and the codes describe raw content, as those of BEiT's discrete autoencoder do. Departures from the
published code: the codebook starts from the first step's batch, after that step; the teacher reads the same view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.losses.codes import commitment, one_minus_cosine, share_used
from ssl_platform.losses.masked import masked_mean
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.codebook import Codebook, CodeDecoder, tanh_mlp
from ssl_platform.nn.frozen import Frozen
from ssl_platform.nn.validity import zero_invalid
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, Prototypes, Size, Weight
from ssl_platform.plan import ModelSpec, Plan
from ssl_platform.targets.codes import at_tokens
from ssl_platform.types import Loss, Step, Tokens, View, Views


class VQKDConfig(ObjectiveConfig):
    """Settings of VQ-KD."""

    target: Literal["teacher", "pixels"] = Field("teacher", description="what the codes must tell")
    prototypes: Prototypes = Field(8192, description="codes")
    code_dim: Size = Field(32, description="width of a code")
    commitment: Weight = Field(1.0, description="weight of the pull of latents to their codes")
    decay: float = Field(0.99, ge=0, lt=1, description="of the codebook's moving average")
    revive: float = Field(
        0.0, ge=0, lt=1, description="codes with less than this part of an equal share move to odd latents; 0: never"
    )
    decoder_dim: DecoderDim = 768
    decoder_depth: DecoderDepth = 1
    decoder_heads: DecoderHeads = 12


def _needs(c: VQKDConfig) -> Plan:
    models = (("teacher", ModelSpec("frozen")),) if c.target == "teacher" else ()
    return Plan.single(offers=("tokens",), models=models)


@objective(
    "vq-kd",
    needs=_needs,
    paper="Peng, Dong, Bao, Ye, Wei: BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers, 2022, "
    "arXiv:2208.06366, eq. 1-3",
)
class VQKD(Objective):
    """Quantise each token to a code from which a small decoder tells a frozen teacher's features."""

    Config = VQKDConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the codebook and what is before and after it."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        width = tokenizer.target_dim
        if c.target == "teacher":
            teacher = models["teacher"]
            assert isinstance(teacher, Frozen)
            self.teacher, width = teacher, teacher.embed_dim
        self.to_code = tanh_mlp(backbone.embed_dim, c.code_dim)
        self.codebook = Codebook(c.prototypes, c.code_dim)
        self.decoder = CodeDecoder(
            c.code_dim,
            width,
            c.decoder_dim,
            c.decoder_depth,
            c.decoder_heads,
            kinds=tokenizer.kinds,
            steps=backbone.steps,
        )

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Error of what is decoded from the codes, and the pull of latents to them."""
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        features = backbone.encode(tokens)
        assert features.tokens is not None
        latent = F.normalize(self.to_code(features.tokens), dim=-1)
        ids = self.codebook.ids(latent)
        code = self.codebook.read(ids).to(latent.dtype)
        straight = latent + (code - latent).detach()
        decoded = self.decoder(straight, tokens.coords, tokens.valid, tokens.kind)
        reconstruction = masked_mean(self.error(backbone, view, tokens, decoded), tokens.valid)
        pull = masked_mean(commitment(latent, code), tokens.valid)
        terms = {
            "reconstruction": reconstruction,
            "commitment": pull,
            "codes_used": share_used(ids, c.prototypes, tokens.valid),
        }
        points = zero_invalid(latent, tokens.valid).flatten(0, 1)
        return Loss(reconstruction + c.commitment * pull, terms, {"embedding": features.pooled, "points": points})

    def error(self, backbone: Backbone, view: View, tokens: Tokens, decoded: Tensor) -> Tensor:
        """`[B, N]` error of every token."""
        assert backbone.tokenizer is not None
        if self.config.target == "pixels":
            return backbone.tokenizer.loss(decoded, backbone.targets(view), backbone.target_valid(view))
        with torch.no_grad():
            known = self.teacher(view)
            assert known.tokens is not None
            target = at_tokens(known.tokens, known, tokens)
        return one_minus_cosine(decoded, target)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the codebook."""
        self.codebook.learn(torch.cat([w["points"] for w in watch]), self.config.decay, self.config.revive)

    def export(self, backbone: Backbone) -> Export:
        """The encoder with the way to its codes."""
        parts: dict[str, nn.Module] = {"to_code": self.to_code, "codebook": self.codebook, "decoder": self.decoder}
        return Export(encoder=backbone, parts=parts)

    def trivial(self, batch: int) -> float:
        """Features at right angles to the teacher's, or the mean of each patch."""
        return 1.0
