"""l-DAE: add noise to the first principal components of every patch and predict the clean view.

Departures from the paper: the components are learnt from the patches of the first steps (cosines stand in before), a
patch keeps at most a quarter of its components, and the loss is divided by the numbers of a patch. The paper's text
leaves the final latent dimension and time conditioning unclear; here it is 16, without conditioning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.denoising import component_error, noisy_components
from ssl_platform.losses.masked import masked_mean
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.full_decoder import FullDecoder
from ssl_platform.nn.patch_basis import PatchBasis, moments
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, Size, Weight
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Step, View, Views


@objective(
    "l-dae",
    needs=Plan.single(offers=("tokens", "drop"), grid=True),
    paper="Chen, Liu, Xie, He: Deconstructing Denoising Diffusion Models for Self-Supervised Learning, ICLR 2025, "
    "arXiv:2401.14404",
)
class LDAE(Objective):
    """Denoise the low-dimensional content of patches."""

    class Config(ObjectiveConfig):
        """Settings of l-DAE."""

        dims: Size | None = Field(
            16, description="components of a patch that are kept and get noise; null: all (pixels)"
        )
        sigma: tuple[Weight, Weight] = Field(
            (0.0, math.sqrt(2)), description="range of the noise level, drawn uniformly"
        )
        rest_weight: Weight = Field(0.1, description="of the other components in the loss")
        basis_steps: Size = Field(100, description="first steps whose patches the components are learnt from")
        decoder_dim: DecoderDim = 1024
        decoder_depth: DecoderDepth = 12
        decoder_heads: DecoderHeads = 16

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the basis and the decoder."""
        assert backbone.tokenizer is not None and backbone.tokenizer.patch is not None
        c, tokenizer = self.config, backbone.tokenizer
        width, patch = tokenizer.target_dim, backbone.tokenizer.patch
        self.basis = PatchBasis((*patch, width // math.prod(patch)))
        self.kept = width if c.dims is None else max(1, min(c.dims, width // 4))
        self.learning = True
        self.decoder = FullDecoder(
            backbone.embed_dim,
            width,
            c.decoder_dim,
            c.decoder_depth,
            c.decoder_heads,
            kinds=tokenizer.kinds,
            steps=backbone.steps,
        )

    def before_step(self, step: Step) -> None:
        """Whether patches are still counted."""
        self.learning = step.step < self.config.basis_steps

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean error of the denoised patches, by component."""
        assert backbone.tokenizer is not None
        view, tokenizer, basis = backbone.normalise(views[0]), backbone.tokenizer, self.basis.basis
        patches, valid = tokenizer.targets(view), tokenizer.target_valid(view)
        sigma = self.level(view)
        noise = view.random.normal("noise", patches.shape[1], self.kept)
        noisy = tokenizer.reconstruct(noisy_components(patches, basis, noise, sigma), view)
        if view.valid is not None:
            noisy = torch.where(view.valid[:, None], noisy, torch.zeros((), dtype=noisy.dtype, device=noisy.device))
        tokens = tokenizer(view.replace(x=noisy))
        features = backbone.encode(tokens)
        prediction = self.decoder(features, tokens.kind)

        error = component_error(prediction, patches, basis, self.kept, self.config.rest_weight, sigma, valid)
        watch = {"embedding": features.pooled}
        if self.learning:
            watch["moment"], watch["count"] = moments(patches, tokens.valid)
        return Loss(masked_mean(error / patches.shape[-1], tokens.valid), watch=watch)

    def level(self, view: View) -> Tensor:
        """`[B]` noise level of each sample."""
        low, high = self.config.sigma
        return view.random.uniform("noise/level", low=low, high=high)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Count patches; take their components after the first step, the tenth, the hundredth... and the last."""
        done, last = step.step + 1, self.config.basis_steps
        if done > last:
            return
        for seen in watch:
            self.basis.add(seen["moment"], seen["count"])
        if done == last or 10 ** round(math.log10(done)) == done:
            self.basis.fit()

    def export(self, backbone: Backbone) -> Export:
        """The encoder; the decoder goes along."""
        return Export(encoder=backbone, parts={"decoder": self.decoder})
