"""The masked autoencoder's step on one view, for methods that take it on several."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ssl_platform.losses.masked import masked_error, masked_mean, normalised_patches
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.channel_tokenizer import ChannelTokenizer
from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.nn.validity import valid_mean
from ssl_platform.objectives.masked.visible import decoded
from ssl_platform.types import Features, Mask, View


@dataclass
class Reconstruction:
    """What was seen of a view and what was predicted of the rest.

    Attributes:
        features: of the visible tokens.
        prediction: `[B, K, T]` content of the masked tokens.
        target: `[B, K, T]` their content.
        valid: `[B, K, T]` bool, which values are real, or None.
        masked: where they are.
    """

    features: Features
    prediction: Tensor
    target: Tensor
    valid: Tensor | None
    masked: Mask

    @property
    def embedding(self) -> Tensor:
        """`[B, D]` mean of the visible tokens, without class tokens."""
        assert self.features.tokens is not None
        return valid_mean(self.features.tokens, self.features.valid)

    def error(self, backbone: Backbone) -> Tensor:
        """`[B, K]` error of every masked token, by the loss that suits it."""
        assert backbone.tokenizer is not None
        return backbone.tokenizer.loss(self.prediction, self.target, self.valid)

    def absolute(self, backbone: Backbone) -> Tensor:
        """Mean absolute error over the values of masked tokens, a scalar; of point sets the mean of `error`."""
        tokenizer = backbone.tokenizer
        if not isinstance(tokenizer, PatchTokenizer | ChannelTokenizer):
            return masked_mean(self.error(backbone), self.masked.valid)
        target = normalised_patches(self.target, self.valid) if tokenizer.norm_pix else self.target
        return masked_error(self.prediction, target, self.masked.valid, self.valid, squared=False)


def reconstruct(backbone: Backbone, decoder: MaskedDecoder, view: View, ratio: float) -> Reconstruction:
    """Hide a random share of a view's tokens and predict it from the others.

    Args:
        backbone: encodes the visible tokens.
        decoder: predicts the masked ones.
        view: any view.
        ratio: of the tokens that is hidden, in (0, 1).
    """
    tokens = backbone.tokenize(view)
    split = random_masks(tokens, ratio, view.random)
    features = backbone.encode(tokens, split.visible)
    valid, masked = backbone.target_valid(view), split.masked
    return Reconstruction(
        features,
        decoded(decoder, features, tokens, split),
        masked.gather(backbone.targets(view)),
        None if valid is None else masked.gather(valid),
        masked,
    )
