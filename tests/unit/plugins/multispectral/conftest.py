"""A fitted row of one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform.types import Row
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.options import MultispectralOptions


@pytest.fixture
def fitted() -> Callable[..., Row]:
    """`fitted(path, **options)`: the only row of a file, as it will be read."""

    def one(path: Path, meta: dict[str, str] | None = None, **options: object) -> Row:
        domain = Multispectral(MultispectralOptions(**options))
        (row,) = domain.scan(path)
        return domain.fit(row.replace(meta={**row.meta, **(meta or {})}))

    return one
