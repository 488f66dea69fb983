"""What joint-embedding predictive methods predict: the teacher's tokens, each brought to mean 0 and variance 1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.objectives.teacher import Teacher
from ssl_platform.types import Features, Mask, Tokens, View


@torch.no_grad()
def teacher_tokens(teacher: Teacher, view: View) -> tuple[Tensor, Features]:
    """`[B, N, D]` normalised features of all tokens of a view, and what the teacher returned."""
    backbone = teacher.backbone
    full = backbone.encode(backbone.tokenize(view))
    assert full.tokens is not None
    return F.layer_norm(full.tokens, full.tokens.shape[-1:]), full


def kinds(tokens: Tokens, visible: Mask, masked: Mask) -> dict[str, Tensor | None]:
    """Kinds of the visible and of the masked tokens, as predictors take them."""
    if tokens.kind is None:
        return {"context_kind": None, "kind": None}
    return {"context_kind": visible.gather(tokens.kind), "kind": masked.gather(tokens.kind)}
