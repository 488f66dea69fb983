"""What a Layout allows, read from its names: `flip:W`, `rotate:HW`, `rot90:HW`, `scale` or `scale:HW`, `blur`."""

from __future__ import annotations

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
            found |= {layout.spatial.index(a) for a in letters} if letters else set(range(layout.rank))
    return tuple(sorted(found))


def planes(layout: Layout, name: str) -> tuple[tuple[int, int], ...]:
    """Planes the symmetry applies in, e.g. `((1, 2),)` for `rotate:HW` of `C D H W`."""
    found = set()
    for symmetry in layout.symmetries:
        base, _, letters = symmetry.partition(":")
        if base == name and len(letters) == 2:
            a, b = sorted(layout.spatial.index(x) for x in letters)
            found.add((a, b))
    return tuple(sorted(found))
