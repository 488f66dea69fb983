"""LocalMIM: low blocks reconstruct fine cells, high blocks coarse ones, each with a decoder of one block.

Departures from the published code: any rank, sorted and limited to the blocks there are, the last scale reads the
encoder's normalised output, and every masked token weighs its coarser cell, which is the published weight by masked
fraction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ssl_platform.losses.masked import masked_error, normalised_patches
from ssl_platform.masking.random import random_masks
from ssl_platform.masking.unit import unit_of
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.patches import grid_of
from ssl_platform.nn.scale_decoder import ScaleDecoder
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, MaskRatio, Positive, Size
from ssl_platform.plan import Plan
from ssl_platform.targets.cells import cell_contents
from ssl_platform.targets.hog import cell_of, hog_tokens, hog_width, patch_of
from ssl_platform.types import Features, Loss, View, Views


class LocalMIMConfig(ObjectiveConfig):
    """Settings of LocalMIM."""

    mask_ratio: MaskRatio = 0.75
    layers: tuple[int, ...] = Field((1, 3, -3, -1), description="blocks that reconstruct, from 0 or from the end")
    scales: tuple[Positive, ...] = Field((4, 2, 1, 0.5), description="cells of a token along each axis, for each block")
    decoder_dim: DecoderDim = 256
    decoder_depth: DecoderDepth = 1
    decoder_heads: DecoderHeads = 8
    target: Literal["hog", "pixels"] = Field("hog", description="gradient histograms, or normalised content, of a cell")
    bins: Size = Field(9, description="orientations of a histogram in the plane (2 on a line and 13 in space)")

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.layers) != len(self.scales) or not self.layers:
            raise ValueError(f"layers={list(self.layers)} and scales={list(self.scales)} must have equal length")
        if self.target == "pixels" and min(self.scales) < 1:
            raise ValueError(f"target=pixels has no cells coarser than tokens, got scales={list(self.scales)}")
        return self


@objective(
    "local-mim",
    needs=Plan.single(offers=("tokens", "drop", "taps"), grid=True),
    paper="Wang, Tang, Wang, Guo, Deng, Han: Masked Image Modeling with Local Multi-Scale Reconstruction, CVPR 2023, "
    "arXiv:2303.05251",
)
class LocalMIM(Objective):
    """Reconstruct masked tokens at several depths, each at a scale of its own."""

    Config = LocalMIMConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make a normalisation and a decoder for each scale."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        patch, depth = patch_of(tokenizer), max(1, backbone.depth)
        order = sorted(min(max(layer % depth if layer < 0 else layer, 0), depth - 1) for layer in c.layers)
        self.taps = [f"block.{layer}" if layer < depth - 1 else "" for layer in order]
        self.cells = [cells_at(patch, scale) for scale in c.scales]
        self.norms = nn.ModuleList(nn.LayerNorm(backbone.embed_dim) if tap else nn.Identity() for tap in self.taps)
        self.decoders = nn.ModuleList()
        for cell in self.cells:
            factor = [max(1, p // s) for p, s in zip(patch, cell, strict=True)]
            width = hog_width(tokenizer, cell, c.bins) if c.target == "hog" else tokenizer.target_dim
            shape = (backbone.embed_dim, width // math.prod(factor), c.decoder_dim, c.decoder_depth, c.decoder_heads)
            self.decoders.append(ScaleDecoder(*shape, factor=factor, kinds=tokenizer.kinds, steps=backbone.steps))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Sum over scales of the mean squared error over masked cells."""
        view = views[0]
        tokens = backbone.tokenize(view)
        visible, masked = random_masks(tokens, self.config.mask_ratio, view.random)
        features = backbone.encode(tokens, visible, taps=tuple(dict.fromkeys(tap for tap in self.taps if tap)))
        terms = {}
        for number, (decoder, cell) in enumerate(zip(self.decoders, self.cells, strict=True)):
            assert isinstance(decoder, ScaleDecoder)
            target, valid = self.target(backbone, view, cell)
            prediction = decoder.decode(
                self._at(features, number),
                visible,
                masked,
                tokens.coords,
                kind=tokens.kind,
                box=self._box(backbone, view, cell, tokens.count),
            )
            valid = None if valid is None else masked.gather(valid)
            error = masked_error(prediction, masked.gather(target), masked.valid, valid, squared=True)
            terms[f"scale{number}"] = error
        return Loss(torch.stack(list(terms.values())).sum(), terms=terms, watch={"embedding": features.pooled})

    def target(self, backbone: Backbone, view: View, cell: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
        """`[B, N, T]` description of each token's cells (or of its coarser cell), and which values are real."""
        assert backbone.tokenizer is not None
        if self.config.target == "hog":
            return hog_tokens(backbone.normalise(view), backbone.tokenizer, cell, self.config.bins)
        patch, valid = patch_of(backbone.tokenizer), backbone.target_valid(view)
        content = cell_contents(backbone.targets(view), patch, cell)
        real = None if valid is None else cell_contents(valid, patch, cell)
        return normalised_patches(content, real).flatten(2), None if real is None else real.flatten(2)

    def trivial(self, batch: int) -> float | None:
        """Predicting each cell's own mean leaves (nearly) unit variance at every scale."""
        return float(len(self.config.scales)) if self.config.target == "pixels" else None

    def _at(self, features: Features, number: int) -> Features:
        """Features of one depth."""
        tap = self.taps[number]
        if not tap:
            return features
        x = self.norms[number](features.taps[tap])
        count = features.prefix.shape[1]
        return Features(features.pooled, x[:, :count], x[:, count:], features.coords, features.valid)

    def _box(self, backbone: Backbone, view: View, cell: tuple[int, ...], count: int) -> Tensor | None:
        """`[N]` the coarser cell each token lies in, for scales below 1."""
        assert backbone.tokenizer is not None
        patch = patch_of(backbone.tokenizer)
        if all(s <= p for p, s in zip(patch, cell, strict=True)):
            return None
        grid = grid_of(view.x.shape[2:], patch)
        return unit_of(grid, [max(1, s // p) for p, s in zip(patch, cell, strict=True)], count, view.x.device)


def cells_at(patch: tuple[int, ...], scale: float) -> tuple[int, ...]:
    """Sides of a cell, of which a token has `scale` along each axis (fewer where its patch is too small)."""
    if scale < 1:
        return tuple(p * round(1 / scale) for p in patch)
    return tuple(cell_of((p,), int(p // scale))[0] for p in patch)
