"""Batch normalisation whose statistics are those of the global batch.

Running statistics are the one state a forward pass may move: they are read only in eval mode and enter no training
loss, so gradients never depend on them, and the batch norms of third-party backbones do the same. An update that is
not finite (an overflowed half-precision step) is dropped, so that a skipped step leaves them as they were.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_platform import distributed
from ssl_platform.losses.precision import widen

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class GlobalBatchNorm(nn.Module):
    """Batch normalisation over all ranks, with the exact gradient (Ioffe, Szegedy, 2015).

    In training the mean and the variance are those of the concatenated batches of all ranks, and the gradient flows
    through them across ranks; on one process it is torch's kernel. Unlike `torch.nn.SyncBatchNorm` it runs on any
    device and in float64. Parameter and buffer names are those of `torch.nn.BatchNorm1d`.

    Args:
        features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics.
        affine: whether there are a learnt gain and offset.
        channel_dim: 1 for `[B, C]` and `[B, C, *size]`; -1 for `[..., C]`.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True, channel_dim: int = 1
    ) -> None:
        super().__init__()
        if channel_dim not in (1, -1):
            raise ValueError(f"channel_dim must be 1 or -1, got {channel_dim}")
        self.features, self.eps, self.momentum, self.channel_dim = features, eps, momentum, channel_dim
        self.weight = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def extra_repr(self) -> str:
        """Settings shown by `repr`."""
        return f"{self.features}, eps={self.eps}, affine={self.weight is not None}, channel_dim={self.channel_dim}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`, of its shape and type."""
        if self.channel_dim == -1 and x.ndim > 2:
            return self._normalise(x.flatten(0, -2)).view(x.shape)
        return self._normalise(x)

    def _normalise(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        count = x.numel() // self.features * distributed.world()
        if count < 2:
            raise ValueError("batch normalisation needs at least 2 values a channel: raise data.batch_size above 1")
        if distributed.active():
            return self._across_ranks(x, count)
        y, mean, inverse = torch.native_batch_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps)
        self._track(mean, (inverse.square().reciprocal() - self.eps).clamp_min(0), count)
        return y

    def _across_ranks(self, x: Tensor, count: int) -> Tensor:
        """Normalise with the pooled statistics of equal shares (Chan, Golub, LeVeque, 1983): one gather."""
        wide = widen(x)
        var, mean = torch.var_mean(wide, dim=[0, *range(2, x.ndim)], correction=0)
        means, variances = distributed.gather(torch.stack((mean, var))[None]).unbind(1)  # [world, C] each
        mean = means.mean(dim=0)
        var = variances.mean(dim=0) + means.var(dim=0, correction=0)
        self._track(mean, var, count)
        shape = (1, -1, *[1] * (x.ndim - 2))
        scale = (var + self.eps).rsqrt()
        y = (wide - mean.view(shape)) * scale.view(shape)
        if self.weight is not None and self.bias is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int | Tensor) -> None:
        """Move the running statistics, with the unbiased variance, where the batch's are finite."""
        for running, batch in ((self.running_mean, mean), (self.running_var, var * (count / (count - 1)))):
            batch = batch.detach().to(running.dtype)
            running.copy_(torch.where(torch.isfinite(batch), torch.lerp(running, batch, self.momentum), running))
        self.num_batches_tracked.add_(1)


def globalise(module: nn.Module) -> nn.Module:
    """Replace torch's batch norms inside `module` by `GlobalBatchNorm`, keeping parameters and running statistics.

    Subclasses (timm's batch norms with an activation inside, for example) do more than normalise and are left alone.

    Args:
        module: changed in place; where it is itself a batch norm, the replacement is returned.
    """
    if isinstance(module, _BatchNorm) and type(module) in _PLAIN:
        return _replacement(module)
    for name, child in module.named_children():
        new = globalise(child)
        if new is not child:
            setattr(module, name, new)
    return module


def _replacement(old: _BatchNorm) -> GlobalBatchNorm:
    momentum = 0.1 if old.momentum is None else old.momentum
    new = GlobalBatchNorm(old.num_features, old.eps, momentum, affine=old.affine)
    if old.affine:
        new.weight, new.bias = old.weight, old.bias
    if old.running_mean is not None and old.running_var is not None:
        new.running_mean, new.running_var = old.running_mean, old.running_var
    if old.num_batches_tracked is not None:
        new.num_batches_tracked = old.num_batches_tracked
    return new.train(old.training)
