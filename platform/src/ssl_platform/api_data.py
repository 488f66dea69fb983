"""The Python API: what is done to data before a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_platform.api_arguments import Paths, configuration


def scan(
    *,
    data: Paths = (),
    labels: str | Path | None = None,
    manifest: str | Path | None = None,
    domain: str | None = None,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Say what would be used, set aside and quarantined; the check to run first.

    Args:
        data, labels, manifest: as in `pretrain`.
        domain: told from the files when None.
        out: editable manifest to write.
        overrides, settings: as in `pretrain`.
    """
    given = locals()
    from ssl_platform.survey import survey

    return survey(configuration("scan", given), out=None if out is None else Path(out))


def prepare(
    *,
    out: str | Path,
    data: Paths = (),
    labels: str | Path | None = None,
    manifest: str | Path | None = None,
    domain: str | None = None,
    shard_mb: float = 256.0,
    exact: bool = False,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Pack data into shards that `data=` reads, each item in the form it is read from; what was stopped goes on.

    Args:
        out: folder, or an address that fsspec knows.
        data, labels, manifest: as in `pretrain`.
        domain: told from the files when None.
        shard_mb: largest size of a shard in MB, unless one item is larger.
        exact: windows must be those of the source bit for bit: videos are packed as they are.
        overrides, settings: as in `pretrain`.
    """
    given = locals()
    from ssl_platform.preparing import prepare as pack

    return pack(configuration("prepare", given), out, shard_mb=shard_mb, exact=exact)
