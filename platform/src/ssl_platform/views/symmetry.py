"""What a Layout allows, read from its names: `flip:W`, `rotate:HW`, `rot90:HW`, `scale` or `scale:HW`, `blur`."""

from __future__ import annotations

from ssl_platform.errors import ConfigError
from ssl_platform.types import Layout

GEOMETRIC = ("scale", "flip", "rotate", "rot90")


def allows(layout: Layout, name: str) -> bool:
    """Whether the layout names the symmetry at all, with or without axes."""
    return any(s.split(":")[0] == name for s in layout.symmetries)


def axes(layout: Layout, name: str) -> tuple[int, ...]:
    """Spatial axes the symmetry applies to, in order: all of them when it is named without axes."""
    found: set[int] = set()
    for symmetry in layout.symmetries:
        base, _, letters = symmetry.partition(":")
        if base == name:
            found |= {_axis(layout, symmetry, a) for a in letters} if letters else set(range(layout.rank))
    return tuple(sorted(found))


def planes(layout: Layout, name: str) -> tuple[tuple[int, int], ...]:
    """Planes the symmetry applies in, e.g. `((1, 2),)` for `rotate:HW` of `C D H W`."""
    found = set()
    for symmetry in layout.symmetries:
        base, _, letters = symmetry.partition(":")
        if base == name and len(letters) == 2:
            a, b = sorted(_axis(layout, symmetry, letter) for letter in letters)
            found.add((a, b))
    return tuple(sorted(found))


def _axis(layout: Layout, symmetry: str, letter: str) -> int:
    """The number of a spatial axis.

    Raises:
        ConfigError: the layout has no such axis.
    """
    if letter not in layout.spatial:
        raise ConfigError(
            f"the symmetry {symmetry!r} names the axis {letter}, which the layout {layout.axes!r} lacks: "
            f"name {' '.join(layout.spatial)}"
        )
    return layout.spatial.index(letter)
