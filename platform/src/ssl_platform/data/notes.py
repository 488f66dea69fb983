"""What is said of single items, said once for all it is said of.

A reader that applies a rule a user may want to know of puts words into `Row.meta["note"]`, several parted by `; `; a
domain that finds values odd says why, with the item's own numbers.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping

import pyarrow.compute as pc

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.names import counted, listing

MOST = 8  # different notes that are named
_NUMBER = re.compile(r"[-+]?\d[\d,.]*(e[-+]?\d+)?")


def note_lines(catalog: Catalog) -> list[str]:
    """A line for each thing noted, the most frequent first, with how many items it is said of and one of them."""
    table = catalog.table.select(["id", "meta"])
    noted = table.filter(pc.match_substring(table.column("meta"), '"note": "'))
    items: dict[str, list[str]] = defaultdict(list)
    for name, meta in zip(noted.column("id").to_pylist(), noted.column("meta").to_pylist(), strict=True):
        for note in str(json.loads(meta)["note"]).split("; "):
            items[note].append(name)
    often = sorted(items.items(), key=lambda pair: -len(pair[1]))
    lines = [f"noted: {note} ({counted(len(names), 'item')}, such as {names[0]})" for note, names in often[:MOST]]
    return [*lines, f"noted: {len(often) - MOST} other things, each in its item's note"] if often[MOST:] else lines


def odd_lines(odd: Mapping[str, str], most: int) -> list[str]:
    """A line for each way in which items are unlike their set; the first item's numbers stand for those of the others.

    Args:
        odd: why, by item.
        most: items of one kind that are named.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for item, why in odd.items():
        alike[_NUMBER.sub("#", why)].append(item)
    lines = []
    for first, *others in alike.values():
        line = f"unlike its set: {first}: {odd[first]}"
        if others:
            line += f"; likewise {counted(len(others), 'other')}: {listing(others, most - 1)}"
        lines.append(line)
    return lines
