"""Whole-set passes: every slot embedded in index order, on all ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.collate import to_device
from ssl_platform.data.sequential import Sequential
from ssl_platform.distributed import gather, rank, world
from ssl_platform.domain import Domain
from ssl_platform.train.assemble import Model
from ssl_platform.train.module import PretrainModule
from ssl_platform.train.monitor import evaluating


@torch.no_grad()
def embed_set(
    module: PretrainModule, catalog: Catalog, domain: Domain, model: Model, config: RunConfig
) -> tuple[Tensor, Tensor]:
    """Pooled features of clean views of every slot; training's own draws are not touched.

    Returns:
        `[n, D]` features and `[n]` indices in ascending order, equal on all ranks; unreadable items are absent.
    """
    micro = max(1, int(config.data.batch_size) // world() // config.data.accumulate)
    share = Sequential(
        catalog,
        domain,
        window=model.window,
        batch_size=micro,
        windows="slots",
        windows_per_item=config.data.windows_per_item,
        seed=config.seed,
        rank=rank(),
        world=world(),
        workers=int(config.data.workers),
    )
    device = module.device
    longest = max(share.lengths)
    encoder = module.objective.embedder(module.backbone)
    bank = torch.zeros(longest, encoder.embed_dim, device=device)
    index = torch.full((longest,), -1, dtype=torch.int64, device=device)
    filled = 0
    with evaluating(encoder), module.trainer.precision_plugin.forward_context():
        for batch in share:
            moved = to_device(batch, device)
            bank[filled : filled + len(batch)] = encoder(model.maker.clean(moved)).pooled.to(bank.dtype)
            index[filled : filled + len(batch)] = moved.index
            filled += len(batch)
    bank, index = gather(bank), gather(index)
    order = index.argsort()
    order = order[index[order] >= 0]
    return bank[order], index[order]
