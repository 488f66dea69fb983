"""Where each head looks: distance, dependence on the query, fixed offsets (Park et al., 2023; Walmer et al., 2023).

Attention matrices are large, so they are asked for a few layers and items at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject, evenly
from ssl_platform.measures import (
    aligned_attention,
    attention_distance,
    attention_nmi,
    offset_heads,
    place_attention,
    uniform_distance,
)
from ssl_platform.types import Features

MOST_ITEMS = 256
_BYTES = 2**27  # of the attention matrices held at once
_LARGEST_MAP = 2**22  # cells of the N x N table of offsets; beyond it no offsets are told


def unfit(subject: Subject) -> str | None:
    """Why there is nothing to look at."""
    offered = "attention" in subject.encoder.model.offers
    return None if offered else f"the backbone {subject.encoder.record.backbone.name} shows no attention"


def attend(subject: Subject) -> list[Reading]:
    """Mean over heads of each layer; `parts` hold the heads.

    Distances are in view sides: tokens lie in the unit cube over a view.
    """
    per_head: defaultdict[tuple[int, str], list[Tensor]] = defaultdict(list)
    aligned: dict[int, Tensor] = {}
    items, uniform = 0, []
    for features, uncounted in _passes(subject):
        assert features.coords is not None
        if not uncounted:
            items += len(features.pooled)
            uniform.append(uniform_distance(features.coords, features.valid).cpu())
        for name, attention in features.taps.items():
            number = int(name.split(".")[1])
            among = place_attention(attention, features.prefix.shape[1], features.valid)
            per_head[number, "distance"].append(attention_distance(among, features.coords).cpu())
            per_head[number, "nmi"].append(attention_nmi(among).cpu())
            if features.grid is not None and among.shape[-1] ** 2 <= _LARGEST_MAP:
                found = aligned_attention(among, features.grid).sum(dim=0).cpu()
                aligned[number] = aligned[number] + found if number in aligned else found
    if not items:
        return []
    found_readings = []
    for number in range(subject.encoder.model.depth):
        at = f"block {number}"
        for word in ("distance", "nmi"):
            heads = torch.cat(per_head[number, word]).nanmean(dim=0)  # nan: a head that looks at no place at all
            found_readings.append(
                Reading.of(f"attention_{word}", "layer", at, float(heads.nanmean()), heads=heads.tolist())
            )
        if number in aligned:
            offsets = offset_heads(aligned[number] / items)
            found_readings.append(
                Reading.of(
                    "offset_heads",
                    "layer",
                    at,
                    float(offsets.local.sum()),
                    peak=offsets.peak.tolist(),
                    mass=offsets.mass.tolist(),
                    length=offsets.length.tolist(),
                )
            )
    even = float(torch.cat(uniform).nanmean())
    return [*found_readings, Reading.of("attention_distance", "layer", "if uniform", even)]


def _passes(subject: Subject) -> Iterator[tuple[Features, bool]]:
    """Features with attention of a few layers, and whether the same items came before with other layers."""
    rows = evenly(subject.rows, MOST_ITEMS)
    depth, encoder = subject.encoder.model.depth, subject.encoder
    first = next(subject.views(rows, None, 1), None)
    if first is None:
        return
    shape = encoder(first[1], ("block.0.attention",)).taps["block.0.attention"].shape
    one = 4 * shape[1] * shape[2] * shape[3]
    batch_size = max(1, min(16, _BYTES // one))
    together = max(1, min(depth, _BYTES // (one * batch_size)))
    for _, view in subject.views(rows, "attention", batch_size):
        for start in range(0, depth, together):
            taps = tuple(f"block.{n}.attention" for n in range(start, min(depth, start + together)))
            yield encoder(view, taps), start > 0
