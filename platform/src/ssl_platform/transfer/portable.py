"""Encoders and models as plain functions of one tensor, which is what `torch.export` can write."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.encoder_record import EncoderRecord
from ssl_platform.nn.backbone import Backbone
from ssl_platform.transfer.model import TransferModel
from ssl_platform.types import View


class Portable(nn.Module):
    """A net behind its input contract: values in physical units in, named tensors out, normalisation inside.

    Args:
        net: encoder or model.
        record: of the encoder.
    """

    spacing: Tensor

    def __init__(self, net: Backbone | TransferModel, record: EncoderRecord) -> None:
        super().__init__()
        self.net, self.channels = net, record.contract.channels
        self.points = record.contract.points
        self.ragged = record.backbone.layout.ragged_channels
        spacing = record.contract.spacing or (1.0,) * record.contract.rank
        self.register_buffer("spacing", torch.tensor([spacing], dtype=torch.float32))

    def view(self, x: Tensor) -> View:
        """`[B, C, *size]` (or `[B, N, C]`) as a view; cells with NaN are invalid."""
        real = x.isfinite()
        present = None
        if self.ragged:
            present = real.any(1) if self.points else real.flatten(2).any(2)
            spread = present[:, None] if self.points else present.view(*present.shape, *[1] * (x.ndim - 2))
            valid = (real | ~spread).all(-1 if self.points else 1)
        else:
            valid = real.all(-1 if self.points else 1)
        return View(
            x=torch.where(real, x, torch.zeros((), dtype=x.dtype, device=x.device)),
            valid=valid,
            channel_valid=present,
            channels=self.channels,
            role="clean",
            spacing=self.spacing.expand(x.shape[0], -1),
        )


class PortableEncoder(Portable):
    """`x` to `{"pooled": [B, D], "tokens": [B, N, D]}` (no tokens where the backbone has none)."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Features of `[B, C, *size]` float32."""
        features = self.net(self.view(x))
        found = {"pooled": features.pooled}
        return found if features.tokens is None else {**found, "tokens": features.tokens}


class PortableModel(Portable):
    """`x` to `{"output": [B, K] or [B, K, *size]}`: logits, or values in the target's unit for regression."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Output of the task's head for `[B, C, *size]` float32."""
        return {"output": self.net(self.view(x))}


def example_input(record: EncoderRecord, net: Backbone) -> Tensor:
    """Two samples of plausible values, the second with a corner of invalid cells."""
    generator = torch.Generator().manual_seed(0)
    channels, size = len(record.contract.channels), tuple(record.backbone.size)
    shape = (*size, channels) if record.contract.points else (channels, *size)
    x = torch.randn(2, *shape, generator=generator)
    mean, std = (getattr(net.normaliser, name, None) for name in ("mean", "std"))
    if isinstance(mean, Tensor) and isinstance(std, Tensor) and len(mean) == channels:
        spread = (channels,) if record.contract.points else (channels, *[1] * len(size))
        x = x * std.cpu().view(spread) + mean.cpu().view(spread)
    if not record.contract.points:
        corner = tuple(slice(max(1, n // 4)) for n in size)
        x[1][(slice(None), *corner)] = float("nan")
    return x
