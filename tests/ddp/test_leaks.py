"""What statistics of a rank's own batch would give away, and global ones do not (card B03, shuffled batch norm)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.losses import key_logits, picked
from ssl_platform.nn.norm import GlobalBatchNorm
from ssl_platform.testing.processes import Processes

B, D = 8, 6


def accuracy(shared: bool) -> float:
    """Share of queries that pick their key among all ranks' by a network that sees batch statistics only."""
    norm = (GlobalBatchNorm if shared else nn.BatchNorm1d)(D, affine=False).double()
    content = torch.randn(2 * B, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    content[:B] += 1.0  # ranks hold unlike samples
    mine = distributed.share(content)

    def statistics(x: Tensor) -> Tensor:
        """What becomes of a constant row beside the batch: the same whatever the sample."""
        return norm(torch.cat((x, torch.zeros_like(x[:1]))))[-1:].expand(len(x), -1)

    q, k = statistics(mine), statistics(mine + 0.01)
    other = distributed.gather(k[:1])[1 - distributed.rank()].expand(B, -1)  # the queue: keys of the other rank
    logits, target = key_logits(q, k, 0.1, queue=other)
    return float(picked((logits * 1e6).round(), target))


def test_a_network_of_batch_statistics_finds_its_key_by_rank_only_where_they_are_the_ranks_own(
    pair: Processes,
) -> None:
    assert pair.run(accuracy, False) == [1.0, 1.0]
    assert pair.run(accuracy, True) == [0.0, 0.0]
