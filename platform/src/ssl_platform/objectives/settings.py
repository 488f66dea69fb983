"""Settings many objectives share, each with its bounds and the words the listings print."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

_Size = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(gt=0, le=1)]

Widths = Annotated[tuple[_Size, ...], Field(description="widths of the projector's layers")]
PredictorWidths = Annotated[tuple[_Size, ...], Field(description="widths of the prediction head's layers")]
Temperature = Annotated[float, Field(gt=0, description="temperature of the softmax over similarities")]
Momentum = Annotated[
    float, Field(ge=0, le=1, description="of the teacher's moving average at the start; a cosine takes it to 1")
]
Weight = Annotated[float, Field(ge=0)]
Size = _Size
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Range = tuple[_Share, _Share]
KeyNegatives = Annotated[
    Literal["all", "other-samples", "other-groups"],
    Field(description="which keys repel: all, or only those of other samples or of other groups (patients, scenes)"),
]
BankMomentum = Annotated[float, Field(ge=0, le=1, description="weight of the old vector when a memory is updated")]
HeadNorm = Annotated[
    Literal["batch"] | None,
    Field(description="batch statistics after every layer of the head; what all samples share then drops out"),
]
LocalCrops = Annotated[int, Field(ge=0, description="small crops beside the two global ones")]
Prototypes = Annotated[int, Field(ge=2, description="prototypes (outputs of the last layer)")]
MaskRatio = Annotated[float, Field(gt=0, lt=1, description="fraction of the tokens that is hidden")]
DecoderDim = Annotated[int, Field(ge=1, description="width of the decoder")]
DecoderDepth = Annotated[int, Field(ge=1, description="blocks of the decoder")]
DecoderHeads = Annotated[int, Field(ge=1, description="attention heads of the decoder")]
PredictorDim = Annotated[int, Field(ge=1, description="width of the predictor")]
PredictorDepth = Annotated[int, Field(ge=1, description="blocks of the predictor")]
PredictorHeads = Annotated[int, Field(ge=1, description="attention heads of the predictor")]
