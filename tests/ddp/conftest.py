"""One pair of gloo processes for the whole folder: a fresh interpreter costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ssl_platform.testing.processes import Processes


@pytest.fixture(scope="session")
def pair() -> Iterator[Processes]:
    with Processes(2) as processes:
        yield processes
