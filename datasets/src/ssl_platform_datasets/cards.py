"""Dataset cards: one YAML file each, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ssl_platform.errors import DataError, did_you_mean

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Card:
    """One public dataset as it is downloaded.

    Attributes:
        name: what `ssl-platform datasets show` takes.
        title: full name.
        domain: the domain that reads it.
        task: what its labels serve.
        modality: what was measured.
        licence: of the data, as its publisher states it.
        citation: how to cite it.
        url: where people get it.
        obtain: how to get it, in a sentence.
        layout: files and folders of a complete download.
        files: patterns that each match something in a complete download; a folder is told from them.
        items: items of a complete download, 0 where that is not fixed.
        labelled: how many of them have public labels, 0 where that is not fixed.
        splits: which rows are for training and testing, and by whose rule.
        sizes: items of each part of that split; none where they are not fixed.
        classes: names in the order of their values, or their number where the download itself names them.
        metric: the field's figure.
        adapter: `"package.module:function"` from folder to manifest rows, or empty where none exists yet.
        later: where there is no adapter, what is in its way.
        settings: keys that commands need with it.
        also: classes of other libraries that read the same layout.
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
    files: tuple[str, ...]
    items: int
    labelled: int
    splits: str
    classes: tuple[str, ...] | int
    metric: str
    adapter: str = ""
    later: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def parse(text: str, source: str) -> Card:
    """The card in a YAML text.

    Raises:
        DataError: not a mapping, a key is unknown or missing, or a value has another type.
    """
    try:
        found: Any = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise DataError(f"{source}: is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(found, dict):
        raise DataError(f"{source}: a dataset card is a mapping of keys to values")
    known = {f.name: f for f in fields(Card)}
    for key in found:
        if key not in known:
            raise DataError(f"{source}: unknown key {key!r}{did_you_mean(str(key), known)}")
    for name, f in known.items():
        if name not in found and f.default is MISSING and f.default_factory is MISSING:
            raise DataError(f"{source}: key {name!r} is missing")
    for name, value in found.items():
        _check(source, name, value)
    if not (found.get("adapter") or found.get("later")):
        raise DataError(f"{source}: name an adapter, or say under 'later' why there is none")
    return Card(**{name: _frozen(value) for name, value in found.items()})


def _check(source: str, name: str, value: Any) -> None:
    """Hold a value to the type of its key.

    Raises:
        DataError: it has another.
    """
    if name in ("items", "labelled"):
        right, wanted = type(value) is int and value >= 0, "a whole number"
    elif name == "sizes":
        right = isinstance(value, dict) and all(type(size) is int for size in value.values())
        wanted = "a mapping of parts to whole numbers"
    elif name == "classes":
        right, wanted = isinstance(value, list) or (type(value) is int and value >= 0), "a list, or how many they are"
    elif name in ("files", "settings", "also"):
        right, wanted = isinstance(value, list), "a list"
    else:
        right, wanted = isinstance(value, str), "text"
    if not right:
        raise DataError(f"{source}: {name} must be {wanted}, got {value!r}")


def _frozen(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, list) else value


@cache
def cards() -> tuple[Card, ...]:
    """All cards that ship, by name."""
    folder = files("ssl_platform_datasets") / "cards"
    found = [parse(f.read_text(encoding="utf-8"), f.name) for f in folder.iterdir() if f.name.endswith(".yaml")]
    return tuple(sorted(found, key=lambda card: card.name))
