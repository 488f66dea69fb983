"""A catalog with what is known of its items: the columns of a manifest beside those of a scan."""

from __future__ import annotations

import numpy as np

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.facts import Facts
from ssl_platform.data.manifest import fact_columns


def described(catalog: Catalog, facts: Facts, codes: np.ndarray | None = None) -> Catalog:
    """The catalog with a manifest's columns that hold something, as text: label, mask, split, fold, pair, time...

    Of an item with several windows only what they have in common is told.

    Args:
        catalog: the items.
        facts: what is known of them.
        codes: `[folds, n]` parts of a drawn split; None keeps the columns as they were given.
    """
    found: dict[str, list[str]] = {}
    for name, values in fact_columns(facts, codes).items():
        if name in catalog.table.column_names:  # the group is there already; a name of the catalog's own is no fact
            continue
        told: list[str | None] = [None] * len(catalog)
        for row, value in zip(facts.row.tolist(), values, strict=True):
            told[row] = value if told[row] in (None, value) else ""
        column = [value or "" for value in told]
        if any(column):
            found[name] = column
    return catalog.with_columns(**found)
