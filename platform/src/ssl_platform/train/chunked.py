"""Accumulation that keeps the negatives: the whole batch meets in one loss, the backbone works through it in chunks.

Cutting a batch into micro-batches changes every loss in which samples meet. Here the loss sees all samples; only the
backbone runs chunk by chunk, without keeping activations, and computes each chunk again in the backward pass. Memory is
that of one chunk (plus embeddings), time is one more forward pass, the gradient is exact. (Gao, Zhang, Han, Callan:
Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021, arXiv:2101.06983, does the same by hand.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import Features, Mask, Tokens, View


def split_view(view: View, chunks: int) -> list[View]:
    """A view cut along its batch into nearly equal parts."""
    rows = torch.arange(len(view)).tensor_split(chunks)
    return [_slice_view(view, slice(int(r[0]), int(r[-1]) + 1)) for r in rows if len(r)]


def _slice_view(view: View, rows: slice) -> View:
    def cut(value: Tensor | None) -> Tensor | None:
        return None if value is None else value[rows]

    return view.replace(
        x=view.x[rows],
        valid=cut(view.valid),
        channel_valid=cut(view.channel_valid),
        index=cut(view.index),
        group=cut(view.group),
        spacing=cut(view.spacing),
        label=cut(view.label),
        geometry=None,
        draws=None if view.draws is None else view.draws.select(rows),
        meta={k: v[rows] for k, v in view.meta.items()},
        params={k: v[rows] for k, v in view.params.items()},
    )


def join_features(parts: Sequence[Features]) -> Features:
    """Features of consecutive chunks as those of the whole batch."""
    first = parts[0]

    def cat(values: list[Tensor | None]) -> Tensor | None:
        present = [v for v in values if v is not None]
        return torch.cat(present) if len(present) == len(values) else None

    return Features(
        pooled=torch.cat([p.pooled for p in parts]),
        prefix=torch.cat([p.prefix for p in parts]),
        tokens=cat([p.tokens for p in parts]),
        coords=cat([p.coords for p in parts]),
        valid=cat([p.valid for p in parts]),
        grid=first.grid,
        pyramid=[
            (torch.cat([p.pyramid[level][0] for p in parts]), stride) for level, (_, stride) in enumerate(first.pyramid)
        ],
        taps={name: torch.cat([p.taps[name] for p in parts]) for name in first.taps},
    )


class ChunkedBackbone(Backbone):
    """A backbone whose `forward` runs in chunks that are computed again in the backward pass.

    Everything else (tokens, targets, sizes) is the wrapped backbone's.

    Args:
        backbone: the real one; it is not registered, its owner keeps it.
        chunks: into how many parts a batch is cut.
    """

    def __init__(self, backbone: Backbone, chunks: int) -> None:
        nn.Module.__init__(self)
        self._wrapped = (backbone,)  # a tuple hides it from nn.Module's registration
        self.chunks = chunks
        self.embed_dim, self.offers, self.spec = backbone.embed_dim, backbone.offers, backbone.spec
        self.__dict__["tokenizer"] = backbone.tokenizer  # not registered either

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_wrapped"][0], name)

    def forward(self, view: View, visible: Mask | None = None, taps: Sequence[str] = ()) -> Features:
        """Features of a raw view, chunk by chunk."""
        backbone = self._wrapped[0]
        if visible is not None or not torch.is_grad_enabled():
            features: Features = backbone(view, visible, taps)
            return features
        parts = [
            checkpoint(backbone, part, None, taps, use_reentrant=False, preserve_rng_state=True)
            for part in split_view(view, self.chunks)
        ]
        return join_features(parts)

    def tokenize(self, view: View) -> Tokens:
        """Tokens of a raw view, as the wrapped backbone makes them."""
        return self._wrapped[0].tokenize(view)

    def encode(self, tokens: Tokens, visible: Mask | None = None, **options: Any) -> Features:
        """Encode tokens in one go, as the wrapped backbone does."""
        return self._wrapped[0].encode(tokens, visible, **options)

    def targets(self, view: View) -> Tensor:
        """Reconstruction targets, as the wrapped backbone makes them."""
        return self._wrapped[0].targets(view)

    def target_valid(self, view: View) -> Tensor | None:
        """Which of them are real, as the wrapped backbone says."""
        return self._wrapped[0].target_valid(view)
