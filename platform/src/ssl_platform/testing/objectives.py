"""Every objective at a size that runs in tenths of a second, and its exact gradient on one or several processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ssl_platform.config.schema import RunConfig, ViewsConfig
from ssl_platform.distributed import rank, world
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import Objective, TrainingSet, total_of
from ssl_platform.objectives.load import load_objective
from ssl_platform.objectives.manifest import MANIFEST
from ssl_platform.testing.given import random_models
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.train.scale import RunSize, shrink
from ssl_platform.types import Batch, PartBatch, Step, View, Views
from ssl_platform.views.maker import ViewMaker

ITEMS, CLASSES = 64, 4
"""What the toy set holds: pass `items=ITEMS` to `toy_batch`, for banks have one row an item."""

SMALL: dict[str, dict[str, Any]] = {
    "simclr": {"proj_dims": (32, 16)},
    "vicreg": {"proj_dims": (32, 32)},
    "byol": {"proj_dims": (32, 16), "pred_dims": (32, 16)},
    "dino": {"prototypes": 24, "freeze_last_layer": "0"},
    "swav": {"prototypes": 12, "proj_dims": (32, 16), "queue": 16, "freeze_prototypes": "0"},
    "mae": {"decoder_dim": 48, "decoder_heads": 4},
    "i-jepa": {"predictor_dim": 48, "predictor_heads": 4},
    "iwm": {"predictor_dim": 48, "predictor_heads": 4, "actions": 8},
    "v-jepa": {"predictor_dim": 48, "predictor_heads": 4},
    "cae": {"predictor_depth": 2},
    "latent-mim": {"proj_dims": (64,), "decoder_dim": 48, "momentum": 0.9},
    "beit-v2": {"decoder_heads": 2},
    "data2vec2": {"masks": 2, "block": 2, "momentum": 0.9},
    "moco-v2": {"proj_dims": (32, 16), "queue": 24},
    "densecl": {"proj_dims": (32, 16), "queue": 24},
    "supcon": {"proj_dims": (32, 16)},
    "dcl": {"proj_dims": (32, 16)},
    "kernel-infonce": {"proj_dims": (32, 16)},
    "mochi": {"proj_dims": (32, 16), "queue": 24, "hardest": 12, "mixed": 8, "query_mixed": 6, "mixing_start": "0"},
    "instdisc": {"proj_dims": (16,), "negatives": 24},
    "pirl": {"proj_dims": (16,), "side": 2, "negatives": 24},
    "cpc": {"segments": 4, "first": 1, "overlap": 0.0, "horizons": 2, "hidden": 16},
    "moco-v3": {"proj_dims": (32, 32, 16), "pred_dims": (32, 16)},
    "nnclr": {"proj_dims": (32, 32, 16), "pred_dims": (32, 16), "queue": 24},
}
"""Over `scale=tiny`: what is still too large for a test of tenths of a second, or would stand still in few steps."""


def names() -> list[str]:
    """All objectives of the core, by the manifest."""
    return [record["name"] for record in json.loads(MANIFEST.read_text(encoding="utf-8"))]


def small(name: str, **settings: Any) -> Objective:
    """An objective at `scale=tiny`; `settings` overrule."""
    kind = load_objective(name)
    config = RunConfig(objective={"name": name}, scale="tiny")
    shrink(config, kind.Config().model_dump(), RunSize(ITEMS, 8, 10, 32, 2, False))
    return kind(kind.Config(**{**config.objective_settings, **SMALL.get(name, {}), **settings}))


def built(name: str, rank_: int = 2, channels: int = 1, **settings: Any) -> tuple[Objective, Backbone]:
    """A small objective on a small backbone, ready for its first step: banks are filled as a run would."""
    torch.manual_seed(0)
    method, backbone = small(name, **settings), small_backbone(rank_, channels)
    make(method, backbone)
    if method.plan(method.config).refresh is not None:
        refresh(method, backbone, rank_, channels)
    return method, backbone


def make(method: Objective, backbone: Backbone) -> None:
    """Build an objective with models of random weights, on the toy set."""
    method.data = TrainingSet(ITEMS, CLASSES)
    method.build(backbone, random_models(method.plan(method.config), backbone))


@torch.no_grad()
def refresh(method: Objective, backbone: Backbone, rank_: int = 2, channels: int = 1) -> None:
    """The whole-set pass before the first step."""
    everything = toy_batch(ITEMS, rank_, channels=channels, items=ITEMS)
    plan = method.plan(method.config)
    maker = ViewMaker(toy_layout(rank_, channels), plan, ViewsConfig(local_size=8), seed=0, window=(16,) * rank_)
    clean = maker.clean(everything)
    clean = clean.replace(x=clean.x.to(next(backbone.parameters()).dtype))
    method.refresh(Step(0, 10, 4, 8, 1e-3), method.embedder(backbone)(clean).pooled, everything.index)


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
        make(method, backbone)
        method.double(), backbone.double()
        if method.plan(method.config).refresh is not None:
            refresh(method, backbone)
        _fill_state(method)
        share = batch // world()
        reads = method.plan(method.config).reads.count
        mine = toy_batch(share, start=start + rank() * share, items=ITEMS, reads=reads)
        for read in mine.reads:
            read["main"].data = read["main"].data.double()
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
