"""Named sizes of the transformer."""

from __future__ import annotations

from typing import NamedTuple

from ssl_platform.errors import ConfigError, did_you_mean


class Size(NamedTuple):
    """Width and depth of a transformer.

    Attributes:
        dim: D.
        depth: blocks.
        heads: attention heads.
    """

    dim: int
    depth: int
    heads: int


SIZES: dict[str, Size] = {
    "pico": Size(128, 4, 4),  # 0.8 M parameters: minutes on two CPU cores
    "nano": Size(160, 8, 5),  # 2.5 M
    "tiny": Size(192, 12, 3),  # from here on DeiT's and ViT's: 5.4 M, 21 M, 85 M, 303 M, 630 M
    "small": Size(384, 12, 6),
    "base": Size(768, 12, 12),
    "large": Size(1024, 24, 16),
    "huge": Size(1280, 32, 16),
}


def size_of(name: str) -> Size:
    """The size called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in SIZES:
        raise ConfigError(f"no ViT size {name!r}; there are {', '.join(SIZES)}{did_you_mean(name, SIZES)}")
    return SIZES[name]
