"""A learnt mixture of an encoder's layers, read in place of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.validity import valid_mean, zero_invalid
from ssl_platform.types import Features, Mask, Tokens, View


class LayerMix(nn.Module):
    """Weights of unit length over U layers, all on the last one at the start.

    Doersch and Zisserman (2017, section 3.3) let each task choose its depth with a lasso; held to unit length, weights
    can only become sparse, not small.

    Args:
        layers: U.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(F.one_hot(torch.tensor(layers - 1), layers).float())

    @property
    def weights(self) -> Tensor:
        """`[U]` of unit length."""
        return F.normalize(self.raw, dim=0)

    def penalty(self) -> Tensor:
        """L1 norm of the weights: 1 for a single layer, at most `sqrt(U)`."""
        return self.weights.abs().sum()

    def forward(self, units: Sequence[Tensor]) -> Tensor:
        """The weighted sum of U equal shapes."""
        mixed = torch.stack([w * unit for w, unit in zip(self.weights.to(units[0].dtype), units, strict=True)])
        return mixed.sum(0)


class MixedBackbone(Backbone):
    """A backbone whose features are a mixture of its layers' outputs, each normalised to unit variance.

    The last of the U layers is the backbone's own output, so weights on it alone change nothing. Everything else
    (tokens, targets, sizes) is the wrapped backbone's. It needs the offer `taps`.

    Args:
        backbone: the real one; it is not registered, its owner keeps it.
        mix: weights over its layers.
    """

    def __init__(self, backbone: Backbone, mix: LayerMix) -> None:
        nn.Module.__init__(self)
        self._wrapped = (backbone, mix)  # a tuple hides them from nn.Module's registration
        self.embed_dim, self.offers, self.spec = backbone.embed_dim, backbone.offers, backbone.spec
        self.__dict__["tokenizer"] = backbone.tokenizer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_wrapped"][0], name)

    def forward(self, view: View, visible: Mask | None = None, taps: Sequence[str] = ()) -> Features:
        """Features of a raw view."""
        return self._mixed(self._wrapped[0](view, visible, taps=(*self._layers, *taps)))

    def encode(self, tokens: Tokens, visible: Mask | None = None, **options: Any) -> Features:
        """Encode tokens."""
        taps = (*self._layers, *options.pop("taps", ()))
        return self._mixed(self._wrapped[0].encode(tokens, visible, taps=taps, **options))

    def tokenize(self, view: View) -> Tokens:
        """Tokens of a raw view, as the wrapped backbone makes them."""
        return self._wrapped[0].tokenize(view)

    def targets(self, view: View) -> Tensor:
        """Reconstruction targets, as the wrapped backbone makes them."""
        return self._wrapped[0].targets(view)

    def target_valid(self, view: View) -> Tensor | None:
        """Which of them are real, as the wrapped backbone says."""
        return self._wrapped[0].target_valid(view)

    @property
    def _layers(self) -> tuple[str, ...]:
        return tuple(f"block.{number}" for number in range(len(self._wrapped[1].raw) - 1))

    def _mixed(self, features: Features) -> Features:
        assert features.tokens is not None
        last = torch.cat([features.prefix, features.tokens], 1)
        units = [F.layer_norm(features.taps[name], last.shape[-1:]) for name in self._layers]
        x, prefixes = self._wrapped[1]([*units, last]), features.prefix.shape[1]
        prefix, tokens = x[:, :prefixes], zero_invalid(x[:, prefixes:], features.valid)
        pooled = prefix[:, 0] if self.pool == "cls" else valid_mean(tokens, features.valid)
        maps = [(tokens.transpose(1, 2).unflatten(2, features.grid or ()), s) for _, s in features.pyramid]
        return replace(features, pooled=pooled, prefix=prefix, tokens=tokens, pyramid=maps)
