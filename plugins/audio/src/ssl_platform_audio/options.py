"""The `data.*` keys of audio."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_platform.domain import DomainOptions


class AudioOptions(DomainOptions):
    """What a user may set as `data.KEY`."""

    sample_rate: Annotated[int, Field(ge=1000, le=384_000)] | Literal["auto"] = Field(
        "auto", description="Hz items are resampled to; auto: the set's usual rate, at most 16000"
    )
    mels: int = Field(128, ge=8, le=512, description="mel bins F of a spectrogram")
    frame_ms: float = Field(25.0, ge=1, le=1000, description="length of the analysis window in milliseconds")
    hop_ms: float = Field(10.0, ge=0.5, le=1000, description="milliseconds from one spectrogram frame to the next")
    fmin: float = Field(20.0, ge=0, description="lowest frequency of the mel bins in Hz")
    fmax: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto", description="highest frequency of the mel bins in Hz; auto: half the sample rate"
    )
    mel_scale: Literal["htk", "slaney"] = Field("htk", description="formula of the mel scale")
    mixdown: Literal["mean", "first"] = Field("mean", description="what becomes of several channels: mean or the first")
    level: Literal["keep", "window"] = Field(
        "keep", description="window: the mean log-power of each window is taken away, where loudness says nothing"
    )
    foreground: Literal["auto", "none"] = Field("auto", description="whether windows favour sound over silence")
    foreground_fraction: float = Field(0.75, ge=0, le=1, description="windows placed on sound")

    @model_validator(mode="after")
    def _fit_together(self) -> AudioOptions:
        if self.hop_ms > self.frame_ms:
            raise ValueError(f"hop_ms={self.hop_ms:g} leaves gaps between frames of frame_ms={self.frame_ms:g}")
        if self.fmax != "auto" and self.fmin >= self.fmax:
            raise ValueError(f"fmin={self.fmin:g} Hz must lie below fmax={self.fmax:g} Hz")
        if self.fmax != "auto" and self.sample_rate != "auto" and self.fmax > self.sample_rate / 2:
            raise ValueError(
                f"fmax={self.fmax:g} Hz is above half of sample_rate={self.sample_rate}: there is nothing to hear"
            )
        return self
