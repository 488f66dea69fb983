"""What may be drawn of one view's crops."""

from __future__ import annotations

from dataclasses import dataclass

Plane = tuple[int, int]


@dataclass(frozen=True)
class CropRule:
    """How the crops of one view are drawn.

    Attributes:
        size: cells of the view.
        scale: fraction of the window's volume, over the scaled axes.
        scaled: whether each axis may be scaled; the others keep their cells and start on whole ones.
        flips: axes that may flip.
        quarters: planes of quarter turns.
        planes: planes of free rotation, one of them drawn for each sample.
        degrees: largest rotation.
        centred: a centre crop at scale one, nothing drawn.
    """

    size: tuple[int, ...]
    scale: tuple[float, float] = (1.0, 1.0)
    scaled: tuple[bool, ...] = ()
    flips: tuple[int, ...] = ()
    quarters: tuple[Plane, ...] = ()
    planes: tuple[Plane, ...] = ()
    degrees: float = 0.0
    centred: bool = False

    @property
    def exact(self) -> bool:
        """Whether every view cell is a whole cell of the window."""
        return not any(self.scaled) and not self.planes
