"""Heads on top of a backbone: multi-layer perceptrons, DINO's head, prototypes.

How papers' heads are written, for a backbone of width D:

    SimCLR, NNCLR-like   mlp(D, 2048, 128, last_norm=True)
    MoCo v2              mlp(D, 2048, 128, norm=None)
    BYOL                 mlp(D, 4096, 256)                        both projector and predictor
    SimSiam              mlp(D, 2048, 2048, 2048, last_norm=True, last_affine=False)
    VICReg, Barlow Twins mlp(D, 8192, 8192, 8192, last_bias=False)
    SwAV                 ProjectionHead(D, 2048, 128)             then PrototypeHead(128, 3000)
    DINO                 DINOHead(D, 2048, 256, 65536)
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.nn.norm import GlobalBatchNorm

Norm = Literal["batch", "layer"] | None


def mlp(
    in_dim: int,
    *dims: int,
    norm: Norm = "batch",
    activation: Literal["relu", "gelu"] = "relu",
    last_norm: bool = False,
    last_affine: bool = True,
    bias: bool | None = None,
    last_bias: bool | None = None,
) -> nn.Sequential:
    """A multi-layer perceptron over the last axis: `[..., in_dim]` to `[..., dims[-1]]`.

    Args:
        in_dim: width of the input.
        dims: width after each layer.
        norm: after every layer but the last: batch statistics of all ranks, layer norm, or none.
        activation: after every layer but the last.
        last_norm: whether the last layer is normalised too.
        last_affine: whether that last normalisation has a gain and an offset.
        bias: of the hidden layers; None: only where no normalisation follows (which would cancel it).
        last_bias: of the last layer; None: likewise.

    Raises:
        ValueError: no layer is asked for.
    """
    if not dims:
        raise ValueError("mlp needs at least one width: mlp(in_dim, out_dim)")
    layers: list[nn.Module] = []
    for number, (width, out) in enumerate(zip((in_dim, *dims[:-1]), dims, strict=True)):
        last = number == len(dims) - 1
        normed = norm is not None and (last_norm or not last)
        wanted = last_bias if last else bias
        layers.append(nn.Linear(width, out, bias=not normed if wanted is None else wanted))
        if normed:
            layers.append(_norm(norm, out, affine=last_affine or not last))
        if not last:
            layers.append(nn.ReLU(inplace=True) if activation == "relu" else nn.GELU())
    return nn.Sequential(*layers)


def _norm(norm: Norm, features: int, affine: bool) -> nn.Module:
    if norm == "batch":
        return GlobalBatchNorm(features, affine=affine, channel_dim=-1)
    return nn.LayerNorm(features, elementwise_affine=affine)


class ProjectionHead(nn.Module):
    """An `mlp` whose output has unit length.

    Args:
        in_dim: width of the input.
        dims: width after each layer.
        settings: of `mlp`.
    """

    def __init__(self, in_dim: int, *dims: int, **settings: Any) -> None:
        super().__init__()
        self.mlp = mlp(in_dim, *dims, **settings)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_dim]` to unit vectors `[..., dims[-1]]`."""
        return F.normalize(self.mlp(x), dim=-1)


class WeightNormLinear(nn.Module):
    """A linear layer without bias whose rows have a fixed direction and gain (Salimans, Kingma, 2016).

    Written out rather than through `torch.nn.utils`, so that it can be deep-copied and read by name.

    Args:
        in_dim: width of the input.
        out_dim: width of the output K.
        learn_gain: whether the gain of every row is learnt; it is 1 otherwise.
    """

    def __init__(self, in_dim: int, out_dim: int, learn_gain: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_dim, in_dim))
        nn.init.uniform_(self.weight, -(in_dim**-0.5), in_dim**-0.5)
        self.gain = nn.Parameter(torch.ones(out_dim)) if learn_gain else None

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_dim]` to `[..., out_dim]`."""
        y = F.linear(x, F.normalize(self.weight, dim=1))
        return y if self.gain is None else y * self.gain


class DINOHead(nn.Module):
    """Perceptron, unit length, weight-normalised layer without bias (Caron et al., 2021, appendix C).

    Args:
        in_dim: width of the input.
        hidden_dim: width of the hidden layers.
        bottleneck_dim: width before the last layer.
        out_dim: number of outputs K.
        layers: layers of the perceptron.
        norm: `batch` for convolutional backbones and small runs, after every layer; DINO's ViTs use none.
        learn_gain: whether the last layer's gain is learnt (less stable).
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int,
        bottleneck_dim: int,
        out_dim: int,
        layers: int = 3,
        norm: Norm = None,
        learn_gain: bool = False,
    ) -> None:
        super().__init__()
        self.mlp = mlp(
            in_dim,
            *[hidden_dim] * (layers - 1),
            bottleneck_dim,
            norm=norm,
            activation="gelu",
            last_norm=norm is not None,
            last_affine=False,
        )
        self.last = WeightNormLinear(bottleneck_dim, out_dim, learn_gain)
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_dim]` to logits `[..., K]`, each in `[-1, 1]` unless the gain is learnt."""
        return self.last(F.normalize(self.mlp(x), dim=-1))


class PrototypeHead(nn.Module):
    """Similarities with K prototypes of unit length.

    The rows are normalised in place, so that the optimiser sees the prototypes themselves: call `normalise` before each
    step (SwAV), or `assign` after a clustering (DeepCluster).

    Args:
        in_dim: width D of the (unit) input.
        count: number of prototypes K.
    """

    def __init__(self, in_dim: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.randn(count, in_dim), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., D]` to `[..., K]`, cosines where the input has unit length."""
        return F.linear(x, self.weight)

    @torch.no_grad()
    def normalise(self) -> None:
        """Give every prototype unit length again."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    @torch.no_grad()
    def assign(self, centroids: Tensor) -> None:
        """Overwrite the prototypes with `centroids`, `[K, D]`."""
        self.weight.copy_(F.normalize(centroids, dim=1))
