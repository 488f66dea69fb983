"""What a page leaves out: nothing, names of items that are people, or (anonymous) every path, name and picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from ssl_platform.report.album import Album, EmbeddingMap

LEFT_OUT = "(left out)"
OF_CLASS = ("dice", "iou", "hd95")
"""Figures of predicted masks that are measured of each class, `finetune/dice_CLASS`."""
_TABLES = {".csv", ".tsv", ".parquet", ".yaml", ".yml", ".json", ".xlsx", ".txt"}
_ITEMS = {".nii", ".gz", ".dcm", ".nrrd", ".mha", ".mhd", ".npy", ".npz", ".zarr", ".edf", ".svs", ".ndpi", ".tiff"}
"""Endings of items, by which a file in the working folder is known for one."""
_PRIVATE = ("data", "labels", "cache", "run", "init", "encoder", "models", "probe.scratch")
"""Sections and keys of the configuration whose words may be paths or names."""


@dataclass(frozen=True)
class Redaction:
    """How much is left out.

    Attributes:
        anonymous: every path, name and picture.
        sensitive: names of items, for items are people.
        salt: of the hashes that stand for names.
    """

    anonymous: bool = False
    sensitive: bool = False
    salt: str = ""

    def item(self, path: str) -> str:
        """A file's name."""
        if self.anonymous:
            return LEFT_OUT
        if not self.sensitive:
            return path
        hashed = hashlib.blake2b(path.encode(), key=self.salt.encode()[:64], digest_size=4).hexdigest()
        return f"{hashed} ({''.join(PurePath(path).suffixes[-2:]) or 'no ending'})"

    def message(self, text: str) -> str:
        """A sentence that may name items."""
        return f"{LEFT_OUT}: the message may hold names" if self.anonymous or self.sensitive else text

    def setting(self, key: str, value: Any) -> Any:
        """A value of the configuration.

        Args:
            key: dotted.
            value: as in `config.yaml`.
        """
        if isinstance(value, list):
            return [self.setting(key, one) for one in value]
        if isinstance(value, dict):
            return LEFT_OUT if value and self.anonymous else {self.word(str(k)): v for k, v in value.items()}
        if not isinstance(value, str):
            return value
        private = key.split(".")[0] in _PRIVATE or key in _PRIVATE
        if self.anonymous and (private or "/" in value or "\\" in value):
            return LEFT_OUT
        return self.word(value)

    def reason(self, text: str) -> str:
        """Why a setting has its value."""
        return "" if self.anonymous and ("/" in text or "\\" in text) else text

    def word(self, text: str) -> str:
        """A word of a command line or a setting: files that may be people lose their names."""
        name, equals, value = text.rpartition("=")
        suffix = PurePath(value).suffix.lower()
        elsewhere = "/" in value and suffix and suffix not in _TABLES and any(c.isalpha() for c in suffix)
        return f"{name}{equals}(a file)" if self.sensitive and (elsewhere or suffix in _ITEMS) else text

    def album(self, album: Album) -> Album:
        """Pictures and embeddings."""
        if not self.anonymous:
            return album
        found = album.embedding
        return Album(facts=album.facts, embedding=None if found is None else _nameless(found))


def class_of(metric: str) -> tuple[str, str] | None:
    """Figure and class of a metric that is one class' alone; None of others."""
    protocol, _, word = metric.rpartition("/")
    figure, _, name = word.partition("_")
    return (figure, name) if protocol != "object-discovery" and figure in OF_CLASS and name else None


def without_classes(metrics: Iterable[str]) -> dict[str, str]:
    """Names of metrics that have no name of a class: `finetune/dice_liver` is `finetune/dice_class 1`."""
    found = {metric: class_of(metric) for metric in metrics}
    classes = list(dict.fromkeys(one[1] for one in found.values() if one is not None))
    return {
        metric: metric if one is None else f"{metric.removesuffix(one[1])}class {classes.index(one[1]) + 1}"
        for metric, one in found.items()
    }


def _nameless(found: EmbeddingMap) -> EmbeddingMap:
    return replace(
        found,
        items=[f"item {i + 1}" for i in range(len(found.items))],
        classes=tuple(f"class {i + 1}" for i in range(len(found.classes))),
        thumbnails={},
        neighbours=[],
    )
