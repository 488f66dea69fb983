"""What a backbone was built from: enough to build it again, and what its input must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ssl_platform.errors import EncoderError
from ssl_platform.types import Channel, Layout


@dataclass(frozen=True)
class BackboneSpec:
    """How to build a backbone.

    Attributes:
        name: `vit-small`, `timm:resnet50`, `slices:vit-tiny`...
        settings: keyword settings of its factory.
        layout: of its input.
        channels: channel names of its input, in order.
        size: cells (or points) of a view it was built for.
        patch: cells of a token (or total stride) along each axis.
    """

    name: str
    layout: Layout
    channels: tuple[str, ...]
    size: tuple[int, ...]
    patch: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `encoder.json`."""
        layout = asdict(self.layout)
        layout["symmetries"], layout["moves"] = sorted(self.layout.symmetries), sorted(self.layout.moves)
        return {
            "name": self.name,
            "settings": _plain(self.settings),
            "layout": _plain(layout),
            "channels": list(self.channels),
            "size": list(self.size),
            "patch": list(self.patch),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BackboneSpec:
        """The inverse of `as_dict`.

        Raises:
            EncoderError: a key is missing or unknown.
        """
        try:
            layout = dict(data["layout"])
            layout["channels"] = tuple(
                Channel(**{**c, "bounds": tuple(c["bounds"]) if c.get("bounds") else None}) for c in layout["channels"]
            )
            layout["symmetries"], layout["moves"] = frozenset(layout["symmetries"]), frozenset(layout["moves"])
            layout["meta"], layout["relations"] = tuple(layout["meta"]), tuple(layout["relations"])
            return cls(
                name=data["name"],
                layout=Layout(**layout),
                channels=tuple(data["channels"]),
                size=tuple(data["size"]),
                patch=tuple(data["patch"]),
                settings=dict(data["settings"]),
            )
        except (KeyError, TypeError) as error:
            raise EncoderError(f"the backbone's record is incomplete or from another version: {error}") from error


def _plain(value: Any) -> Any:
    """Tuples as lists, mappings as dicts: what JSON gives back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
