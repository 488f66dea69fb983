"""Which dataset a folder holds."""

from __future__ import annotations

from pathlib import Path

from ssl_platform.downloads.rows import folder_of
from ssl_platform.errors import DataError
from ssl_platform.plugins import DatasetDeclaration, registry


def tell_dataset(folder: str | Path) -> DatasetDeclaration:
    """The dataset whose files these are: all its patterns match, or most of them where one download is incomplete.

    Raises:
        DataError: no folder, no dataset, or several.
    """
    root = folder_of(folder)
    known = [dataset for dataset in registry().datasets() if dataset.files]
    share = {
        dataset.name: sum(holds(root, pattern) for pattern in dataset.files) / len(dataset.files) for dataset in known
    }
    best = max(share.values(), default=0.0)
    found = [dataset for dataset in known if share[dataset.name] == best]
    if best > 0.5 and len(found) == 1:
        return found[0]
    like = f": it could be {' or '.join(dataset.name for dataset in found)}" if best > 0.5 else ""
    raise DataError(f"{folder}: no dataset is told from its files{like}; say which (ssl-platform datasets lists them)")


def holds(root: Path, pattern: str) -> bool:
    """Whether a pattern matches anything in a folder."""
    return next(root.glob(pattern), None) is not None
