"""ESC-50: five-second recordings in `audio/`, classes and the five published folds in `meta/esc50.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform_datasets.adapters.lists import table_of


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each recording; those cut from one source are one group, and lie in one fold.

    Raises:
        DataError: the table is missing or another one.
    """
    table = Path(folder) / "meta" / "esc50.csv"
    for row in table_of(table, ("filename", "fold", "category", "src_file"), "give the folder ESC-50-master"):
        yield {
            "path": f"audio/{row['filename']}",
            "label": row["category"],
            "fold": row["fold"],
            "group": row["src_file"],
        }
