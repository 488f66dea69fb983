"""The `data.*` keys of multispectral."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from ssl_platform.domain import DomainOptions
from ssl_platform.errors import did_you_mean
from ssl_platform_multispectral.registry import SENSORS, sensors_with


def parse_bands(value: Any) -> Any:
    """`auto`, a list, or `B02,B03,B04`."""
    if isinstance(value, str) and value != "auto":
        value = [name.strip() for name in value.strip("[]").replace(";", ",").split(",") if name.strip()]
    return tuple(str(v) for v in value) if isinstance(value, list | tuple) else value


class MultispectralOptions(DomainOptions):
    """What a user may set as `data.KEY`."""

    bands: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(parse_bands)] = Field(
        "auto", description="bands to use, in order; names those of files that do not ('skip': not used)"
    )
    sensor: str = Field("auto", description=f"sensor of files that do not say it: {', '.join(SENSORS)}")
    baseline: str = Field(
        "auto",
        pattern=r"^(auto|none|\d{2}\.\d{2})$",
        coerce_numbers_to_str=True,
        description="Sentinel-2 processing baseline, such as 05.09; none: values carry no offset",
    )
    scale: Literal["auto"] | float = Field("auto", description="physical value of one stored step; auto: what is known")
    offset: Literal["auto"] | float = Field("auto", description="physical value of a stored 0; auto: what is known")
    nodata: Literal["auto", "none"] | float = Field(
        "auto", description="stored value without data; auto: what files and sensors say"
    )
    gsd: Literal["auto", "native"] | Annotated[float, Field(gt=0, le=10_000)] = Field(
        "auto", description="metres of a cell that scenes are resampled to; native: none; auto: the set's median"
    )
    pad_bands: bool | Literal["auto"] = Field(
        "auto", description="batch scenes of unlike band sets together, with band validity; auto: where sets differ"
    )
    tile: Literal["auto"] | Annotated[int, Field(ge=64)] = Field(
        "auto", description="scenes with a longer side are cut into items of this many cells; auto: 2048"
    )
    min_valid: float = Field(0.5, ge=0, le=1, description="least valid part of a window, where the scene has one")
    revisit: bool = Field(False, description="draw ground that two scenes of one day share from both")
    block: float = Field(10.0, gt=0, description="side in km of the squares of ground that are kept in one split")

    @field_validator("sensor")
    @classmethod
    def _known_sensor(cls, value: str) -> str:
        if value != "auto" and value not in SENSORS:
            raise ValueError(f"unknown sensor {value!r}{did_you_mean(value, SENSORS)}; known: {', '.join(SENSORS)}")
        return value

    @field_validator("bands")
    @classmethod
    def _known_bands(cls, value: Any) -> Any:
        for name in value if value != "auto" else ():
            plain = name.rpartition("-")[2] if name not in ("skip", "") else ""
            if plain and not sensors_with([plain]):
                raise ValueError(f"unknown band {name!r}: a sensor's own name (B04), a colour (red) or 665nm")
        return value
