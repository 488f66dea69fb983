"""Items unlike the set they lie in: one band among thirteen, a picture among volumes."""

from __future__ import annotations

from collections import Counter

from ssl_platform.data.catalog import Catalog
from ssl_platform.types import Layout

RARE = 0.25


def unlike(catalog: Catalog, layout: Layout) -> dict[int, str]:
    """Rows that do not belong to their set, each with the reason.

    The number of spatial axes must be the layout's (point sets have one length). Channels must be the set's usual ones:
    a channel set held by at most a quarter as many items as the most common one is taken for a mistake; more are a
    second kind of item, which gets batches of its own. Layouts that pad channels take any set.

    Args:
        catalog: readable items.
        layout: of their domain.
    """
    rank = 1 if layout.points else layout.rank
    odd: dict[int, str] = {}
    for i, shape in enumerate(catalog.column("shape")):
        if len(shape) != rank:
            odd[i] = f"unlike its set: shape {tuple(shape)} has {len(shape)} axes, not {rank} ({layout.axes})"
    if layout.ragged_channels:
        return odd
    sets = [tuple(names) for names in catalog.column("channels")]
    counts = Counter(names for i, names in enumerate(sets) if i not in odd)
    if len(counts) < 2:
        return odd
    usual, most = counts.most_common(1)[0]
    for i, names in enumerate(sets):
        if i not in odd and counts[names] <= RARE * most:
            odd[i] = f"unlike its set: {_named(names)} where {most} items have {_named(usual)}: a set of its own?"
    return odd


def _named(channels: tuple[str, ...]) -> str:
    shown = ", ".join(channels[:4]) + (", ..." if len(channels) > 4 else "")
    return f"{len(channels)} channel{'' if len(channels) == 1 else 's'} ({shown})"
