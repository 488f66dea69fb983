"""Collectives exact under autograd; without a process group they do nothing."""

from ssl_platform.distributed.collectives import (
    active,
    all_max,
    all_mean,
    all_sum,
    broadcast,
    gather,
    global_mean,
    offset,
    rank,
    share,
    world,
)

__all__ = [
    "active",
    "all_max",
    "all_mean",
    "all_sum",
    "broadcast",
    "gather",
    "global_mean",
    "offset",
    "rank",
    "share",
    "world",
]
