"""The `data.*` keys of video."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from ssl_platform.domain import DomainOptions


def parse_rate(value: Any) -> Any:
    """`25`, `23.976` or `30000/1001` frames per second as a number; words are left as they are.

    Raises:
        ValueError: not a positive number.
    """
    if isinstance(value, str):
        if value in ("auto", "native"):
            return value
        number, _, divisor = value.partition("/")
        value = float(number) / float(divisor) if divisor else float(number)
    if not 0.01 <= float(value) <= 1000:
        raise ValueError(f"{value}: frames per second lie between 0.01 and 1000")
    return float(value)


Rate = Annotated[float, BeforeValidator(parse_rate)]


class VideoOptions(DomainOptions):
    """What a user may set as `data.KEY`."""

    fps: Annotated[Literal["auto", "native"] | float, BeforeValidator(parse_rate)] = Field(
        "auto", description="frames per second clips are read at; native: each video's own; auto: 8, or the set's own"
    )
    short_side: Literal["auto", "native"] | Annotated[int, Field(ge=16, le=4096)] = Field(
        "auto", description="pixels the short side of frames is scaled to; native: not scaled; auto: 64"
    )
    frame_rate: Rate | None = Field(None, description="frames per second of folders of frames, which do not say theirs")
    stream: Literal["auto", "largest"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description="which video stream of a file: largest (what auto is): of most pixels; or its index"
    )
    decoder: Literal["auto", "pyav", "decord", "torchcodec"] = Field(
        "auto", description="what decodes; auto: pyav; files another one would read otherwise stay with pyav"
    )
    decoded: Literal["auto", "stored", "none"] = Field(
        "auto", description="whether frames are decoded once into the cache; auto: where the set stays under 1 GB"
    )
    copy_side: int = Field(256, ge=16, le=4096, description="prepare: pixels of the short side of copies, at most")
    copy_gop: int = Field(16, ge=1, le=1000, description="prepare: frames from one key frame of a copy to the next")
    copy_quality: int = Field(23, ge=0, le=51, description="prepare: rate factor of copies; lower is better, larger")
    test_views: Literal["cover"] | tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        "cover",
        description="clips a video is embedded and scored by: cover: those that cover it; [5,3]: 5 moments x 3 crops",
    )
    speeds: tuple[float, ...] = Field((2.0, 4.0), description="how much faster further reads of a clip may play")

    @field_validator("speeds")
    @classmethod
    def _speeds(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0.1 <= speed <= 64 for speed in value):
            raise ValueError(f"{list(value)}: speeds are one or more numbers between 0.1 and 64")
        return value
