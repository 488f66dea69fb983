"""What methods share that encode the visible tokens only and decode the masked ones."""

from __future__ import annotations

from torch import Tensor

from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.mask import Split
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.types import Features, Mask, Tokens, View


def decoder_of(backbone: Backbone, target_dim: int, dim: int, depth: int, heads: int) -> MaskedDecoder:
    """A decoder for the tokens of a backbone, predicting `target_dim` numbers for each."""
    assert backbone.tokenizer is not None
    kinds = backbone.tokenizer.kinds
    return MaskedDecoder(backbone.embed_dim, target_dim, dim, depth, heads, kinds=kinds, steps=backbone.steps)


def decoded(decoder: MaskedDecoder, features: Features, tokens: Tokens, split: Split) -> Tensor:
    """`[B, K, T]` predictions at the masked tokens, from the features of the visible ones."""
    visible, masked = split
    hidden, seen = (None if tokens.kind is None else mask.gather(tokens.kind) for mask in (masked, visible))
    places = masked.gather(tokens.coords)
    prediction: Tensor = decoder(features, places, valid=masked.valid, context_kind=seen, kind=hidden)
    return prediction


def content_loss(backbone: Backbone, view: View, prediction: Tensor, masked: Mask) -> Tensor:
    """Mean error over the masked tokens of their raw content, in the way that suits the tokenizer."""
    assert backbone.tokenizer is not None
    target, valid = masked.gather(backbone.targets(view)), backbone.target_valid(view)
    error = backbone.tokenizer.loss(prediction, target, None if valid is None else masked.gather(valid))
    return masked_mean(error, masked.valid)
