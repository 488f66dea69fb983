"""Every objective at a size that runs in tenths of a second, and its exact gradient on one or several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.distributed import rank, world
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.objectives.load import load_objective
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, PartBatch, Step, View, Views
from ssl_platform.views.maker import ViewMaker

SMALL: dict[str, dict[str, Any]] = {
    "simclr": {"proj_dims": (32, 16)},
    "vicreg": {"proj_dims": (32, 32)},
    "byol": {"proj_dims": (32, 16), "pred_dims": (32, 16)},
    "dino": {"prototypes": 24, "hidden": 32, "bottleneck": 16, "local_crops": 2, "freeze_last_layer": "0"},
    "swav": {"prototypes": 12, "proj_dims": (32, 16), "local_crops": 2, "queue": 16, "freeze_prototypes": "0"},
    "mae": {"decoder_dim": 48, "decoder_depth": 1, "decoder_heads": 4},
    "i-jepa": {"predictor_dim": 48, "predictor_depth": 1, "predictor_heads": 4},
}


def small(name: str, **settings: Any) -> Objective:
    """An objective with the widths of a test; `settings` overrule."""
    cls = load_objective(name)
    return cls(cls.Config(**{**SMALL.get(name, {}), **settings}))


def small_backbone(rank_: int = 2, channels: int = 1, **settings: Any) -> Backbone:
    """A two-block ViT over 16 cells a side with patches of 4 (of 2 on a line, for enough tokens)."""
    layout = toy_layout(rank_, channels)
    names = tuple(c.name for c in layout.channels)
    size, patch = (16,) * rank_, (4 if rank_ > 1 else 2,) * rank_
    return build("vit-pico", layout, names, size, patch, **{"depth": 2, **settings})


def small_views(method: Objective, batch: Batch, rank_: int = 2, channels: int = 1) -> Views:
    """The views `method` asks for, of a toy batch."""
    maker = ViewMaker(
        toy_layout(rank_, channels), method.plan(method.config), ViewsConfig(local_size=8), seed=0, window=(16,) * rank_
    )
    return maker(batch)


def gradient_of(names: Sequence[str], batch: int = 8, start: int = 0) -> dict[str, tuple[float, Tensor]]:
    """Loss and flat float64 gradient of each objective on this process' share of a batch of `batch` samples.

    The state (centre, queue) is that after one step with the whole batch on every process, so that it takes part.
    """
    found = {}
    for name in names:
        torch.manual_seed(0)
        method, backbone = small(name), small_backbone()
        method.build(backbone, {})
        method.double(), backbone.double()
        _fill_state(method)
        share = batch // world()
        mine = toy_batch(share, start=start + rank() * share)
        mine.reads[0]["main"].data = mine.reads[0]["main"].data.double()
        step = Step(5, 10, 1, batch, 1e-3)
        method.before_step(step)
        views = Views([_double(v) for v in small_views(method, mine)])
        loss = total_of(method(backbone, views)).total
        loss.backward()
        method.after_backward(step)
        parameters = [*backbone.parameters(), *method.parameters()]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        found[name] = (float(loss.detach()), flat)
    return found


def _double(view: View) -> View:
    return view.replace(x=view.x.double())


def _fill_state(method: Objective) -> None:
    """Give queues and centres the same non-trivial content on every process."""
    generator = torch.Generator().manual_seed(3)
    for name, buffer in method.named_buffers():
        if name.rsplit(".", 1)[-1] in ("rows", "centre") and "teacher" not in name:
            values = torch.randn(buffer.shape, generator=generator, dtype=torch.float64)
            buffer.copy_(torch.nn.functional.normalize(values, dim=-1) if buffer.ndim > 1 else 0.1 * values)


def as_batch(data: Tensor, rank_: int) -> Batch:
    """A batch around `[B, C, *size]`."""
    b = len(data)
    part = PartBatch(
        data, None, None, torch.ones(b, rank_), torch.zeros(b, rank_), tuple(f"c{i}" for i in range(data.shape[1]))
    )
    index = torch.arange(b)
    return Batch(({"main": part},), index, index, index)
