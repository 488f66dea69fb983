"""What single tokens know after short training on toy scenes of several textures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import TrainingSet
from ssl_platform.plan import Plan
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, small
from ssl_platform.testing.toy import toy_layout
from ssl_platform.types import Batch
from ssl_platform.views.maker import ViewMaker

CLASSES, SIZE, ITEMS, BATCH = 4, 32, 1024, 32
WINDOW = (SIZE, SIZE)


def scenes(batch: int, start: int = 0, items: int | None = None) -> tuple[Batch, Tensor]:
    """Images of several regions with a texture each, and `[batch, 32, 32]` the class of every cell.

    Three points are drawn; a cell belongs to the nearest and has its class, which is the orientation of its stripes.
    """
    position = torch.arange(start, start + batch)
    index = position if items is None else position % items
    draws = Draws.at(11, index)
    grid = torch.stack(torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float32)] * 2, indexing="ij"))  # [2, *WINDOW]
    points = draws.uniform("scene/points", 3, 2, low=0, high=SIZE)
    nearest = (grid - points[..., None, None]).square().sum(2).argmin(1)  # [batch, *WINDOW]

    def of_region(values: Tensor) -> Tensor:
        return values.gather(1, nearest.flatten(1)).view_as(nearest)

    label = of_region(draws.integer("scene/classes", CLASSES, 3))
    phase, angle = of_region(draws.uniform("scene/phase", 3, high=2 * math.pi)), label * math.pi / CLASSES
    wave = torch.sin((angle.cos() * grid[1] + angle.sin() * grid[0]) * 2 * math.pi / 4 + phase)
    x = 0.5 + 0.25 * wave + 0.1 * draws.normal("scene/noise", *WINDOW)
    return replace(as_batch(x[:, None], 2), index=index, group=index, position=position), label


def train_on_scenes(name: str, *, seed: int = 0, steps: int = 120, **settings: Any) -> Backbone:
    """The encoder that an objective of `scale=tiny` makes of a small convnet with tokens of 4 x 4 cells.

    Args:
        name: of the objective.
        seed: of weights.
        steps: of training.
        settings: of the objective.
    """
    torch.manual_seed(seed)
    method = small(name, **settings)
    net = build("convnet-tiny", toy_layout(2), ("c0",), WINDOW, (4, 4), width=16)
    method.data = TrainingSet(ITEMS, CLASSES)
    method.build(net, {})
    views = ViewsConfig(global_size=24, local_size=12)
    fit(
        method,
        net,
        toy_layout(2),
        lambda n: scenes(BATCH, BATCH * n, ITEMS)[0],
        steps,
        window=WINDOW,
        lr=2e-3,
        views=views,
        build=False,
    )
    return method.export(net).encoder


@torch.no_grad()
def read_tokens(net: Backbone) -> float:
    """Accuracy of a linear classifier of single tokens of new scenes (ridge regression on frozen features)."""
    net.eval()
    maker = ViewMaker(toy_layout(2), Plan.single(), ViewsConfig(), seed=0, window=WINDOW)
    sets = []
    for start in (50_000, 90_000):
        batch, label = scenes(256, start)
        tokens = net(maker.clean(batch)).tokens
        assert tokens is not None
        share = F.avg_pool2d(F.one_hot(label, CLASSES).double().movedim(-1, 1), 4)  # [B, 4, 8, 8] of a token's cells
        sets.append((tokens.flatten(0, 1).double(), share.flatten(2).mT.flatten(0, 1).argmax(1)))
    (x, y), (other, truth) = sets
    mean, std = x.mean(0), x.std(0) + 1e-6
    x, other = (torch.cat([(z - mean) / std, torch.ones_like(z[:, :1])], 1) for z in (x, other))
    weights = torch.linalg.solve(x.T @ x + 10 * torch.eye(x.shape[1]), x.T @ F.one_hot(y, CLASSES).double())
    return float(((other @ weights).argmax(1) == truth).double().mean())
