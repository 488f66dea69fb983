"""Looking behind the headers before anything else is done: an item that is cut off or damaged is named at the start.

A run puts items into its cache, so the look costs nothing that would not be paid later. `scan` only reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TextIO

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.notes import odd_lines
from ssl_platform.data.preparation import prepare, verify
from ssl_platform.data.progress import Bar
from ssl_platform.data.quarantine import Quarantined

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

How = Literal["auto", "full", "header"]
FEW_ITEMS = 2000
"""`data.check=auto` reads the content of sets of at most this many items."""
FEW_BYTES = 4e9
"""And where nothing is kept of what is read, of sets of at most this size on disk."""
MOST_SAID, MOST_LISTED = 5, 100
"""Items unlike their set in the same way that are named at the head of a run, and by `scan`."""


@dataclass
class Content:
    """What the look found.

    Attributes:
        catalog: items that can be read, as far as was looked.
        quarantined: the others.
        lines: for the user.
    """

    catalog: Catalog
    quarantined: list[Quarantined] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def look(catalog: Catalog, domain: Domain, how: How, *, keep: bool, out: TextIO | None = None) -> Content:
    """Read the content of all items, where `how` asks for it.

    Args:
        catalog: items whose headers are sound.
        domain: reads them; it has its cache.
        how: `data.check`.
        keep: put prepared items into the cache (a run), else keep nothing (`scan`).
        out: where progress is shown.

    Raises:
        SslPlatformError: the cache cannot be written.
    """
    held = domain.cache is not None and domain.cache.shards is not None and domain.cache.shards.arrays
    if not _wanted(how, catalog, domain, keep):
        return Content(catalog, lines=_unread(how, catalog, domain, keep))
    with Bar("read", out) as bar:
        found = (prepare if held or (keep and domain.prepares) else verify)(catalog, domain, progress=bar)
    bad = found.unreadable
    lines = odd_lines(found.odd, MOST_SAID if keep else MOST_LISTED)
    if not keep:
        lines.append(f"content: {found.prepared} of {len(catalog)} items were read to their end")
    quarantined = [Quarantined(catalog.row(i).path, why) for i, why in bad.items()]
    whole = catalog.select([i for i in range(len(catalog)) if i not in bad]) if bad else catalog
    return Content(whole, quarantined, lines)


def _wanted(how: How, catalog: Catalog, domain: Domain, keep: bool) -> bool:
    if how != "auto" or not len(catalog):
        return how == "full"
    if len(catalog) > FEW_ITEMS:
        return False
    return domain.prepares if keep else _bytes(catalog) <= FEW_BYTES


def _unread(how: How, catalog: Catalog, domain: Domain, keep: bool) -> list[str]:
    """What not looking means, where that is not what was asked for."""
    if how == "header" or not len(catalog):
        return []
    size = f"{len(catalog):,} items, {_bytes(catalog) / 1e9:.1f} GB"
    if not keep:
        return [f"content: only headers were read ({size}); data.check=full reads all and finds what is cut off"]
    if domain.prepares:
        return [
            f"content: only headers were read ({size}); what turns out to be damaged is replaced and listed in "
            "quarantine.csv, data.check=full finds it before the start"
        ]
    return []


def _bytes(catalog: Catalog) -> int:
    return sum(catalog.column("bytes"))
