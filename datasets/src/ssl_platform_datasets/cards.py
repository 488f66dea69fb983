"""Dataset cards: one YAML file each, checked key by key."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ssl_platform.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Card:
    """One public dataset as it is downloaded.

    Attributes:
        name: what `ssl-platform datasets show` takes.
        title: full name.
        domain: the domain that reads it.
        task: what its labels serve.
        modality: what was measured.
        licence: of the data.
        citation: how to cite it.
        url: where people get it.
        obtain: how to get it, in a sentence.
        layout: files and folders of a complete download.
        items: items of a complete download.
        labelled: how many of them have labels.
        splits: which rows are for training and testing, and by whose rule.
        classes: names in the order of their values.
        metric: the field's figure.
        adapter: `"package.module:function"` from folder to manifest rows, or empty where none exists yet.
    """

    name: str
    title: str
    domain: str
    task: str
    modality: str
    licence: str
    citation: str
    url: str
    obtain: str
    layout: str
    items: int
    labelled: int
    splits: str
    classes: tuple[str, ...]
    metric: str
    adapter: str = ""


def parse(text: str, source: str) -> Card:
    """The card in a YAML text.

    Raises:
        DataError: not a mapping, a key is unknown or missing, or a value has another type.
    """
    try:
        found: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{source}: is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(found, dict):
        raise DataError(f"{source}: a dataset card is a mapping of keys to values")
    known = {f.name: f for f in fields(Card)}
    for key in found:
        if key not in known:
            raise DataError(f"{source}: unknown key {key!r}{did_you_mean(str(key), known)}")
    for name, f in known.items():
        if name not in found and f.default is MISSING:
            raise DataError(f"{source}: key {name!r} is missing")
    for name in ("items", "labelled"):
        if not isinstance(found[name], int):
            raise DataError(f"{source}: {name} must be a whole number, got {found[name]!r}")
    if not isinstance(found["classes"], list):
        raise DataError(f"{source}: classes must be a list, got {found['classes']!r}")
    return Card(**{**found, "classes": tuple(str(c) for c in found["classes"])})


@cache
def cards() -> tuple[Card, ...]:
    """All cards that ship, by name."""
    folder = files("ssl_platform_datasets") / "cards"
    found = [parse(f.read_text(encoding="utf-8"), f.name) for f in folder.iterdir() if f.name.endswith(".yaml")]
    return tuple(sorted(found, key=lambda card: card.name))
