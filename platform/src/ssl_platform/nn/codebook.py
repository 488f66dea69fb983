"""A book of discrete codes on the unit sphere, learnt without gradient, and a decoder of what they say.

Shapes: B batch, N tokens, K codes, d width of a code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.nn.block import Block, key_mask
from ssl_platform.nn.clustering import nearest, spherical_kmeans
from ssl_platform.nn.positions import STEPS
from ssl_platform.nn.predictor import Placed


class Codebook(nn.Module):
    """K unit vectors: started by k-means on the first points, then moving averages of their members.

    BEiT v2's quantiser (Peng et al., 2022, section 2.1). Points of length 0 are padding and count nowhere.

    Args:
        codes: K.
        dim: d.
        centred: whether the mean of the first points is taken off all points: features of any encoder share a large
            part that tells no two tokens apart.
    """

    rows: Tensor
    centre: Tensor
    share: Tensor
    started: Tensor

    def __init__(self, codes: int, dim: int, centred: bool = False) -> None:
        super().__init__()
        start = torch.randn(codes, dim, generator=torch.Generator().manual_seed(0))
        self.centred = centred
        self.register_buffer("rows", F.normalize(start, dim=1))
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("share", torch.full((codes,), 1.0 / codes))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def __len__(self) -> int:
        return len(self.rows)

    def unit(self, x: Tensor) -> Tensor:
        """`[..., d]` points on the sphere; padding stays zero."""
        padding = (x == 0).all(dim=-1, keepdim=True)
        return F.normalize(x - self.centre.to(x.dtype), dim=-1).masked_fill(padding, 0.0)

    @torch.no_grad()
    def ids(self, x: Tensor) -> Tensor:
        """`[...]` int64 most similar code of each point `[..., d]`."""
        found, _ = nearest(self.unit(x).flatten(0, -2), self.rows.to(x.dtype))
        return found.view(x.shape[:-1])

    def read(self, ids: Tensor) -> Tensor:
        """`[..., d]` codes of `[...]` ids."""
        return self.rows[ids]

    @torch.no_grad()
    def learn(self, points: Tensor, decay: float = 0.99, revive: float = 0.0, iterations: int = 10) -> None:
        """Take in the points of all ranks: k-means the first time, a moving average later.

        Args:
            points: `[n, d]`, the same number on all ranks.
            decay: weight of what a code was; codes without members keep their value.
            revive: codes whose share of the members fell below this fraction of an equal share move to the points that
                are farthest from their codes; 0 for never.
            iterations: of k-means.
        """
        points = points.to(self.rows.dtype)
        if not self.started:
            self._start(distributed.gather(points), iterations)
            return
        unit = self.unit(points)
        found, likeness = nearest(unit, self.rows)
        sums = distributed.all_sum(torch.zeros_like(self.rows).index_add_(0, found, unit))
        mean = F.normalize(sums, dim=1)
        moved = F.normalize(decay * self.rows + (1 - decay) * mean, dim=1)
        self.rows.copy_(torch.where(sums.norm(dim=1, keepdim=True) > 0, moved, self.rows))
        if revive:
            self._revive(unit, found, likeness, decay, revive / len(self))

    def _revive(self, unit: Tensor, found: Tensor, likeness: Tensor, decay: float, least: float) -> None:
        """Move codes whose share fell below `least` to the points least like their codes."""
        real = unit.square().sum(dim=1)  # 1, or 0 for padding
        members = distributed.all_sum(torch.zeros_like(self.share).index_add_(0, found, real))
        self.share.lerp_(members / members.sum().clamp_min(1), 1 - decay)
        everyone = distributed.gather(unit)
        odd = distributed.gather(likeness + 2 * (1 - real)).argsort()  # padding last
        dead = self.share < least
        turn = (dead.long().cumsum(dim=0) - 1).clamp(0, len(odd) - 1)
        self.rows.copy_(torch.where(dead[:, None], everyone[odd[turn]], self.rows))
        self.share.masked_fill_(dead, 1.0 / len(self))

    def _start(self, points: Tensor, iterations: int) -> None:
        """K-means from random points; where there are fewer points than codes the others stay random."""
        real = (points != 0).any(dim=1)
        if self.centred:
            self.centre.copy_(points.sum(dim=0) / real.sum().clamp_min(1))
        unit = self.unit(points)
        order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0)).to(points.device)
        order = order[(~real[order]).to(torch.uint8).argsort(stable=True)][: len(self.rows)]
        chosen, known = unit[order], real[order][:, None]
        rows = self.rows.clone()
        rows[: len(chosen)] = torch.where(known, chosen, rows[: len(chosen)])
        self.rows.copy_(spherical_kmeans(unit, rows, iterations))
        self.started.fill_(True)


class CodeDecoder(Placed):
    """From codes and their places to features of every token: a small transformer and a head with a tanh.

    Args:
        code_dim: d.
        out_dim: width of what is predicted.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        kinds, steps: as in `Placed`.
    """

    def __init__(
        self,
        code_dim: int,
        out_dim: int,
        dim: int,
        depth: int,
        heads: int,
        *,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__(dim, kinds, steps)
        self.embed = nn.Linear(code_dim, dim)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.head = tanh_mlp(dim, out_dim)
        self.reset()

    def forward(self, codes: Tensor, coords: Tensor, valid: Tensor | None = None, kind: Tensor | None = None) -> Tensor:
        """`[B, N, out_dim]` from codes `[B, N, d]` at places `[B, N, S]`."""
        x = self.embed(codes) + self.at(coords, kind)
        mask = key_mask(valid)
        for block in self.blocks:
            x = block(x, mask)
        made: Tensor = self.head(self.norm(x))
        return made


def tanh_mlp(in_dim: int, out_dim: int) -> nn.Sequential:
    """Two linear layers with a tanh between, as VQ-KD has before and after its codes."""
    return nn.Sequential(nn.Linear(in_dim, in_dim), nn.Tanh(), nn.Linear(in_dim, out_dim))
