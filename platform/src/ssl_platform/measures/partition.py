"""Which tokens of one item are an object: two ways of cutting tokens in two, without training.

Shapes: N tokens of D features, in any order; the grid they lie on is seen by whoever draws the box.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Cut(NamedTuple):
    """Tokens of an object.

    Attributes:
        inside: `[N]` bool.
        seed: `[]` int64, the token the object is grown from; it is inside.
        salience: `[N]`, larger for tokens that are more likely of the object.
    """

    inside: Tensor
    seed: Tensor
    salience: Tensor


@torch.no_grad()
def lost(keys: Tensor, k: int = 100) -> Cut:
    """LOST (Simeoni et al., BMVC 2021, arXiv:2109.14279, section 3.2): objects are like few tokens, the rest like many.

    The seed is the token that is positively similar to the fewest others. Of the k tokens with the fewest, those like
    the seed join it; what is like them in sum is the object.

    Args:
        keys: `[N, D]` of the last attention block, not normalised.
        k: candidates to expand the seed with.
    """
    keys = keys.double()
    gram = keys @ keys.T
    degree = (gram > 0).sum(dim=1) - (gram.diagonal() > 0).long()
    order = degree.argsort(stable=True)
    seed = order[0]
    chosen = order[: min(k, len(order))]
    chosen = chosen[(gram[chosen, seed] > 0) | (chosen == seed)]
    salience = gram[:, chosen].sum(dim=1)
    inside = salience > 0
    inside[seed] = True
    return Cut(inside, seed, salience)


@torch.no_grad()
def token_cut(features: Tensor, tau: float = 0.2, eps: float = 1e-5) -> Cut:
    """TokenCut (Wang et al., CVPR 2022, arXiv:2202.11539, section 3): the normalised cut of the tokens' graph.

    Edges are 1 where the cosine exceeds `tau`, else `eps`. The second smallest eigenvector of `(D - W) y = l D y` is
    cut at its mean; the side of its largest entry is the object.

    Args:
        features: `[N, D]`, keys of the last attention block or tokens.
        tau: cosine above which tokens belong together.
        eps: weight of all other edges, which keeps the graph connected.
    """
    y = second_eigenvector(edges(features, tau, eps))
    seed = y.abs().argmax()
    y = y * y[seed].sign()
    inside = y > y.mean()
    inside[seed] = True
    return Cut(inside, seed, y)


def edges(features: Tensor, tau: float, eps: float) -> Tensor:
    """`[N, N]` float64 weights: 1 where the cosine exceeds `tau`, else `eps`."""
    unit = F.normalize(features.double(), dim=1)
    return torch.where(unit @ unit.T > tau, 1.0, eps).double()


def second_eigenvector(weights: Tensor) -> Tensor:
    """`[N]` y of the second smallest l of `(D - W) y = l D y`, where D is the diagonal of the sums of W `[N, N]`."""
    scale = weights.sum(dim=1).rsqrt()
    laplacian = torch.eye(len(weights), dtype=weights.dtype, device=weights.device) - scale[:, None] * weights * scale
    vector = torch.linalg.eigh((laplacian + laplacian.T) / 2).eigenvectors[:, min(1, len(weights) - 1)]
    return vector * scale
