"""Where a training goes on from when it was stopped: the files under `checkpoints/` of its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ssl_platform.errors import UsageError
from ssl_platform.train import checkpoint

FOLDER = "checkpoints"


class Savepoint:
    """The last state of one training; it is removed when the model is done.

    Args:
        place: folder of the model.
    """

    def __init__(self, place: Path) -> None:
        self.folder = place / FOLDER

    def write(self, step: int, state: Mapping[str, Any]) -> None:
        """Save after a step, atomically; the state before it is then removed.

        Raises:
            RunFailed: the disk refused.
        """
        checkpoint.write(self.folder, step, state, keep=1)

    def read(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """The last state, or None where there is none.

        Args:
            say: is told of a damaged one, for which the one before it is taken.

        Raises:
            UsageError: none can be read.
        """
        return checkpoint.read_last(self.folder, say)

    def clear(self) -> None:
        """Remove what was saved."""
        shutil.rmtree(self.folder, ignore_errors=True)


def check_same(place: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings or data than a model was begun with.

    Args:
        place: folder of the model.
        before: what it depended on, as JSON gave it back.
        now: what it depends on.

    Raises:
        UsageError: naming the first thing that differs.
    """
    for key, value in json.loads(json.dumps(dict(now))).items():
        if before.get(key) != value:
            raise UsageError(
                f"--resume: {place} was trained with {key} {before.get(key)} and not {value}: "
                "give the same command again, or choose another --run"
            )
