"""The `data.*` keys of wholeslide."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_platform.domain import DomainOptions

FINEST, COARSEST = 0.03, 20.0
"""Microns a pixel that a microscope may have; beyond it is a print resolution or a mistake."""

Mpp = Annotated[float, Field(ge=FINEST, le=COARSEST)]


class WholeSlideOptions(DomainOptions):
    """What a user may set as `data.KEY`."""

    mpp: Literal["auto"] | Mpp = Field(
        "auto",
        description="microns a pixel that windows are read at; auto: 0.5, or what three quarters of slides reach",
    )
    missing_mpp: Literal["auto"] | Mpp = Field(
        "auto", description="microns a pixel at full resolution of slides that store none; auto: data.mpp where given"
    )
    reader: Literal["auto", "openslide", "tiffslide"] = Field(
        "auto", description="library that opens slides; auto: the first of both that decodes the file"
    )
    tissue: Literal["auto", "none"] = Field("auto", description="whether windows lie on tissue only")
    tissue_threshold: Literal["auto"] | Annotated[float, Field(gt=0, lt=255)] = Field(
        "auto", description="colourfulness of tissue, 0 to 255; auto: Otsu's for each slide, between 8 and 24"
    )
    tissue_fraction: float = Field(0.7, gt=0, le=1, description="least fraction of a window that is tissue")
    align: bool = Field(True, description="move windows so that they cross as few stored tiles as they can")
    tiles: int = Field(64, ge=1, description="tissue tiles that stand for a slide where it is embedded or scored")
    open_slides: int = Field(64, ge=1, description="slides a reader process keeps open")
    tile_cache_mb: int = Field(64, ge=0, description="decoded tiles a reader process keeps, over all its slides")
