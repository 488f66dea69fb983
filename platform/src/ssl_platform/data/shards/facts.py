"""Labels, groups and splits of prepared data: written by item, read back as a source of facts."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.claims import Claims, claims_of_table
from ssl_platform.data.facts import Facts
from ssl_platform.data.manifest import fact_columns
from ssl_platform.data.table import read_table
from ssl_platform.types import Row

ITEM = "item"
BESIDE = "mask beside a label"
"""Column of masks of items that have labels too."""


def dump(facts: Facts, rows: Sequence[Row], left_out: Mapping[int, str]) -> bytes:
    """The manifest: one row an entry, by the id of its item, with only the columns that hold something.

    Args:
        facts: what is known.
        rows: the catalog it belongs to.
        left_out: numbers of the rows that are not among the prepared data.
    """
    kept = [i for i, row in enumerate(facts.row.tolist()) if row not in left_out]
    items = [rows[row].id for row in facts.row.tolist()]
    own = list(facts.id) if list(facts.id) != items else [""] * len(items)
    columns = {ITEM: items, "id": own, **fact_columns(facts)}
    if BESIDE in facts.meta:
        columns["mask"] = list(facts.meta[BESIDE])
        del columns[BESIDE]
    columns = {name: values for name, values in columns.items() if name == ITEM or any(values)}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([values[i] for values in columns.values()] for i in kept)
    return text.getvalue().encode("utf-8", "surrogateescape")


def beside_labels(claims: Claims) -> Claims:
    """Statements whose masks do not take the place of their labels, to be kept both."""
    if not claims.labels or "mask" not in claims.columns:
        return claims
    columns = {name: values for name, values in claims.columns.items() if name != "mask"}
    return replace(claims, columns=columns, meta={**claims.meta, BESIDE: claims.columns["mask"]})


def masks_of(facts: Facts) -> dict[int, list[str]]:
    """Paths of the masks of each item, by its number."""
    found: dict[int, list[str]] = {}
    for row, path in zip(facts.row.tolist(), facts.meta.get(BESIDE, facts.mask), strict=True):
        if path and path not in found.setdefault(row, []):
            found[row].append(path)
    return {row: paths for row, paths in found.items() if paths}


def parse(content: bytes, *, labels: bool = True) -> Claims | None:
    """What the manifest says, or None where it says nothing.

    Args:
        content: of the manifest.
        labels: whether its labels and masks are used, or others given with `--labels`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.csv")
        path.write_bytes(content)
        table = read_table(path)
        if len(table.columns) < 2 or not len(table):
            return None
        claims = claims_of_table(table, LabelsConfig(path=ITEM), needs_facts=False)
    # no folder to look for masks in: they are in the shards, by the path they had
    claims = replace(claims, base=None, columns={n: v for n, v in claims.columns.items() if n != ITEM})
    if not labels:
        claims = replace(claims, labels={}, columns={n: v for n, v in claims.columns.items() if n != "mask"})
    return claims
