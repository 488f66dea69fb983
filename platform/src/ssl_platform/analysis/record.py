"""`analysis.json`: every reading beside the same for random weights, as flat rows that any table reader takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_platform.analysis.reading import Reading
from ssl_platform.train.atomic import write_json

FILE = "analysis.json"
OWN_RANDOM = "its random weights"
"""What an encoder is compared with beside others, in the name `A ~ its random weights`."""


@dataclass(frozen=True)
class Row:
    """A reading of an encoder, or of two, and the same for random weights.

    Attributes:
        encoder: its name, or `A ~ B` of two.
        reading: of the encoder.
        random: of the same net with random weights; None for one that has random weights itself.
    """

    encoder: str
    reading: Reading
    random: Reading | None = None

    @staticmethod
    def of(stored: Mapping[str, Any]) -> Row:
        """A row as `as_dict` gave it, after a way through JSON.

        Raises:
            KeyError: it is none.
        """
        kind, at, measure = (stored[key] for key in ("kind", "at", "measure"))
        ends = {key: tuple(stored[key]) if stored[key] is not None else None for key in ("ci95", "random_ci95")}
        own = Reading(measure, kind, at, stored["value"], ends["ci95"], stored["parts"])
        if not stored["beside"]:
            return Row(str(stored["encoder"]), own)
        random = Reading(measure, kind, at, stored["random"], ends["random_ci95"], stored["random_parts"])
        return Row(str(stored["encoder"]), own, random)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        own, beside = self.reading, self.random
        return {
            "encoder": self.encoder,
            "measure": own.measure,
            "kind": own.kind,
            "at": own.at,
            "value": own.value,
            "ci95": own.ci95,
            "beside": beside is not None,
            "random": None if beside is None else beside.value,
            "random_ci95": None if beside is None else beside.ci95,
            "parts": dict(own.parts),
            "random_parts": {} if beside is None else dict(beside.parts),
        }


def beside(encoder: str, own: Sequence[Reading], random: Sequence[Reading] = ()) -> list[Row]:
    """Rows of one encoder; readings of random weights are found by kind, place and measure."""
    known = {reading.key: reading for reading in random}
    return [Row(encoder, reading, known.get(reading.key)) for reading in own]


def write(folder: Path, about: dict[str, Any], rows: Sequence[Row], unfit: dict[str, dict[str, str]]) -> Path:
    """Write `FILE` in one step.

    Args:
        folder: of the run.
        about: encoders, data and limits.
        rows: all readings.
        unfit: why an analysis was left out, by encoder and name.
    """
    path = folder / FILE
    write_json(path, {**about, "unfit": unfit, "rows": [row.as_dict() for row in rows]})
    return path
