"""The `data.*` keys of medical3d."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from ssl_platform.domain import DomainOptions

Spacing = tuple[float, float, float]


def parse_spacing(value: Any) -> Any:
    """`1.5`, `[3, 1, 1]`, `3x1x1` or `3,1,1` (mm along D, H, W) to three numbers; words are left as they are.

    Raises:
        ValueError: not one or three positive numbers.
    """
    if isinstance(value, str):
        if value in ("auto", "native"):
            return value
        value = value.strip("[]() ").replace("x", ",").replace(";", ",").split(",")
    values = [float(v) for v in (value if isinstance(value, list | tuple) else [value])]
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3 or not all(0 < v < 1000 for v in values):
        raise ValueError("spacing is mm along z, y, x: one or three positive numbers, such as [3, 1, 1]")
    return tuple(values)


class Medical3DOptions(DomainOptions):
    """What a user may set as `data.KEY`."""

    spacing: Annotated[Literal["auto", "native"] | Spacing, BeforeValidator(parse_spacing)] = Field(
        "auto", description="mm along z, y, x that items are resampled to; native: none; auto: the set's median"
    )
    modality: str = Field(
        "auto", pattern=r"^[a-z][a-z0-9]*$", description="ct keeps HU, others get percentiles; auto: what files say"
    )
    array_axes: str = Field("SAR", description="directions the axes of .npy, .npz and Zarr arrays grow in")
    hu_window: tuple[float, float] = Field((-1000.0, 1000.0), description="HU range of CT that views show")
    percentiles: tuple[float, float] = Field((0.5, 99.5), description="mapped to 0 and 1 for all but CT")
    frames: Literal["items", "channels"] = Field("items", description="what the volumes of a 4-D file are")
    pad_channels: bool | Literal["auto"] = Field(
        "auto", description="batch items that lack a channel with those that have it; auto: where some do"
    )
    foreground: Literal["auto", "none"] = Field("auto", description="whether windows favour the body over air")
    foreground_fraction: float = Field(0.75, ge=0, le=1, description="windows placed on foreground")

    @field_validator("array_axes")
    @classmethod
    def _known_axes(cls, value: str) -> str:
        from ssl_platform_medical3d.orientation import affine_of_codes

        affine_of_codes(value, (1.0, 1.0, 1.0))
        return value.upper()

    @field_validator("hu_window", "percentiles")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] < value[1]:
            raise ValueError(f"{list(value)}: the first number must be below the second")
        return value

    @field_validator("percentiles")
    @classmethod
    def _percent(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] < 0 or value[1] > 100:
            raise ValueError(f"{list(value)}: percentiles lie between 0 and 100")
        return value
