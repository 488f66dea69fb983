"""The `data.*` keys of pointcloud."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ssl_platform.domain import DomainOptions

Up = Literal["x", "y", "z", "-x", "-y", "-z"]
Unit = Literal["m", "cm", "mm", "ft", "us-ft", "none"]
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "us-ft": 1200 / 3937, "none": 1.0}


def _names(value: Any) -> Any:
    """One name for a list of one; `auto` stays."""
    return (value,) if isinstance(value, str) and value != "auto" else value


class PointCloudOptions(DomainOptions):
    """What a user may set as `data.KEY`."""

    kind: Literal["auto", "objects", "scenes"] = Field(
        "auto", description="whether a window is spread over the whole item or is a region of it; auto: by size"
    )
    features: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(_names)] = Field(
        "auto", description="colour, normal, intensity or names of fields; auto: all that scenes have, none of objects"
    )
    up: Literal["auto", "none"] | Up = Field(
        "auto", description="axis of the files that points up; none: none does, views turn about all axes"
    )
    unit: Literal["auto"] | Unit = Field("auto", description="unit of the coordinates; auto: what files say")
    scale: Literal["auto", "unit", "metric"] = Field(
        "auto", description="unit: each item fits a sphere of radius 1; metric: coordinates keep their unit"
    )
    colour_max: Literal["auto"] | float = Field("auto", description="value of full colour: 1, 255 or 65535")
    thin: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = Field(
        "auto", description="one of this many neighbouring points is read, another one each time"
    )
    max_points: int = Field(
        10_000_000, ge=1000, description="of an item with more points every n-th is kept, so that at most these remain"
    )
    min_points: int = Field(32, ge=1, description="items with fewer points are refused")
    mesh: Literal["surface", "vertices"] = Field("surface", description="what points of a mesh are")
    mesh_points: int = Field(4096, ge=32, le=10_000_000, description="points drawn on the surface of a mesh")
    label_field: str = Field("auto", description="field with labels of points, never a feature; auto: by its name")
