"""MoCHi: MoCo v2 with further negatives mixed from each query's hardest ones.

There is no official code. Draws belong to the sample, so they do not depend on ranks; keys of the query's own sample or
group are never mixed where they are left out of the negatives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.contrastive import key_logits
from ssl_platform.losses.mixing import hardest, mix_pairs, mix_with_query
from ssl_platform.objectives.base import objective
from ssl_platform.objectives.contrastive.moco_v2 import MoCoV2, MoCoV2Config, key_plan
from ssl_platform.objectives.settings import Count, Size
from ssl_platform.schedules import resolve_duration
from ssl_platform.types import Step, View

MOST = 0.5  # of the query in a mixture, so that the negative dominates


class MoCHiConfig(MoCoV2Config):
    """Settings of MoCHi."""

    hardest: Size = Field(1024, description="a query's most similar negatives, which mixtures are made of")
    mixed: Count = Field(512, description="mixtures of two hard negatives a query")
    query_mixed: Count = Field(256, description="mixtures of a hard negative with the query")
    mixing_start: str = Field("15ep", description="when mixing begins: steps, epochs (15ep) or part of the run (5%)")


@objective(
    "mochi",
    needs=key_plan,
    paper="Kalantidis, Sariyildiz, Pion, Weinzaepfel, Larlus: Hard Negative Mixing for Contrastive Learning, "
    "NeurIPS 2020, arXiv:2010.01028, eq. 4-5",
)
class MoCHi(MoCoV2):
    """MoCo v2 with synthetic hard negatives."""

    Config = MoCHiConfig
    mixing = False

    def before_step(self, step: Step) -> None:
        """Decide whether mixing has begun."""
        self.mixing = step.step >= resolve_duration(self.config.mixing_start, step.total, step.epoch_steps)

    def logits(self, q: Tensor, k: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """MoCo's logits, then those of the mixtures."""
        logits, own = super().logits(q, k, view)
        c = self.config
        if not self.mixing or not (c.mixed or c.query_mixed):
            return logits, own
        made, known = self.mixtures(q, k, view)
        extra, _ = key_logits(q, k, c.temperature, in_batch=False, negatives=made, negatives_valid=known[:, None])
        return torch.cat([logits, extra[:, 1:]], dim=1), own  # column 0 is the own key once more

    def mixtures(self, q: Tensor, k: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """`[B, s + s', D]` unit vectors without gradient, and `[B]` bool: whether there was anything to mix."""
        c = self.config
        pool, barred = self.pool(k, view)
        hard = hardest(q.detach(), pool, c.hardest, barred)
        draws = view.random.child("mochi")
        first, second, share = (draws.uniform(name, c.mixed) for name in ("first", "second", "share"))
        place, mine = draws.uniform("place", c.query_mixed), draws.uniform("query", c.query_mixed, high=MOST)
        pairs = mix_pairs(pool, hard, first, second, share)
        return torch.cat([pairs, mix_with_query(q.detach(), pool, hard, place, mine)], dim=1), hard.known > 0

    def pool(self, k: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
        """`[K, D]` keys that may be mixed, and `[B, K]` bool where a query must not take one."""
        c = self.config
        own = None if c.negatives == "all" else self.identity(view)
        if c.queue:
            ids = self.queue_ids.content()
            return self.queue.content(), None if own is None else own[:, None] == ids
        keys = distributed.gather(F.normalize(k, dim=1))
        row = torch.arange(len(k), device=k.device) + distributed.offset(len(k))
        itself = row[:, None] == torch.arange(len(keys), device=k.device)
        return keys, itself if own is None else itself | (own[:, None] == distributed.gather(own))
