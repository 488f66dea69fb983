"""`prepared.json`: what prepared data is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ssl_platform.data.shards.place import Address, Place, place_of
from ssl_platform.errors import DataError

NAME = "prepared.json"
FORMAT = 1
Form = Literal["arrays", "files"]


@dataclass(frozen=True)
class Shard:
    """One shard.

    Attributes:
        bytes: its size.
        sha256: of all of it.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True)
class About:
    """What prepared data is.

    Attributes:
        domain: name of the domain.
        form: `arrays`: items as their windows are read from; `files`: files that the domain's readers open.
        words: the form in words.
        lossless: whether windows are those of the source, bit for bit.
        options: of the domain, settled.
        settled: by name, value and reason of options that depended on the set.
        data_id: of the source's catalog.
        items: number of items.
        labels: how labels were found (`labels.*` that were given).
        roots: what `--data` named.
        masks: number of label masks.
        shard_bytes: bound of a shard.
        versions: of the platform and the plugin.
        shards: in order.
        format: of these files.
    """

    domain: str
    form: Form
    words: str
    lossless: bool
    options: dict[str, Any]
    settled: dict[str, tuple[Any, str]]
    data_id: str
    items: int
    labels: dict[str, Any]
    roots: tuple[str, ...]
    masks: int
    shard_bytes: int
    versions: dict[str, str]
    shards: tuple[Shard, ...] = ()
    format: int = field(default=FORMAT)

    def dump(self) -> bytes:
        """As JSON."""
        return (json.dumps(asdict(self), indent=1, default=str) + "\n").encode()

    def line(self) -> str:
        """What it is, in one line."""
        size = sum(shard.bytes for shard in self.shards) / 1e9
        exact = "windows as from the source, bit for bit" if self.lossless else "not bit for bit as the source"
        return (
            f"prepared data of {self.domain}: {self.items:,} items as {self.words} ({exact}), "
            f"{len(self.shards)} shards, {size:.2f} GB"
        )


def parse(content: bytes, name: str) -> About:
    """The inverse of `About.dump`.

    Raises:
        DataError: it is damaged, or of a later release.
    """
    try:
        values = json.loads(content)
        if values["format"] > FORMAT:
            raise DataError(f"{name} was prepared by a later release (format {values['format']}): update ssl-platform")
        values["shards"] = tuple(Shard(**shard) for shard in values["shards"])
        values["roots"] = tuple(values["roots"])
        values["settled"] = {key: (value, why) for key, (value, why) in values["settled"].items()}
        return About(**{f.name: values[f.name] for f in fields(About)})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name}/{NAME} is damaged ({error}): prepare the data again") from None


def look(text: str) -> tuple[Place, About] | None:
    """Prepared data where an argument of `--data` names some, else None.

    Raises:
        DataError: it is unfinished, damaged, or of a later release.
        ConfigError: an address of a kind nothing installed knows.
    """
    path = text.removeprefix("file://")
    if "://" not in path and not Path(path).is_dir():
        return None
    place = place_of(text)
    content = place.read(NAME)
    if content is not None:
        return place, parse(content, place.name)
    if place.read(UNFINISHED) is not None:
        raise DataError(f"{place.name} is not finished: run the ssl-platform prepare command that writes it again")
    if isinstance(place, Address):
        raise DataError(f"{text} holds no prepared data ({NAME} is not there): only such data is read from addresses")
    return None


UNFINISHED = "unfinished.json"
