"""Groups that the file names of well-known collections state: who speaks, which recording a clip was cut from."""

from __future__ import annotations

import re
from pathlib import Path

_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("speaker (Speech Commands file name)", re.compile(r"(?P<group>[0-9a-f]{8})_nohash_\d+")),
    ("recording (ESC-50 file name)", re.compile(r"[1-5]-(?P<group>\d+)-[A-Z]-\d+")),
    ("recording (UrbanSound8K file name)", re.compile(r"(?P<group>\d{3,})-\d-\d+-\d+")),
    ("speaker (LibriSpeech file name)", re.compile(r"(?P<group>\d+)-\d+-\d{4}")),
    ("speaker (Free Spoken Digit file name)", re.compile(r"\d_(?P<group>[a-z]+)_\d+")),
)


def group_of(path: Path) -> tuple[str | None, str]:
    """The group a file name states, and a word for the rule; None and `file` for other names."""
    for rule, pattern in _RULES:
        found = pattern.fullmatch(path.stem)
        if found:
            return found["group"], rule
    return None, "file"
