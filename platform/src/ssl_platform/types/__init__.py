"""What travels through the platform.

    files -> Row -> Window -> Sample -> Batch -> View -> Tokens, Mask -> Features -> Loss -> Result

Everything up to `Sample` is numpy and may be built in a worker without torch; from `Batch` on it is tensors on the
device. Importing this module does not import torch.

Axes: B batch, C channels, D H W depth height width, T time, F frequency bins, N tokens or points, S spatial rank,
K chosen tokens, M masks of a sample, P prefix tokens, R reads of a sample.
"""

from __future__ import annotations

from ssl_platform.types.item import Part, Row, Sample, Scalar, Window
from ssl_platform.types.layout import Channel, Layout
from ssl_platform.types.result import Loss, Metric, Result, Step
from ssl_platform.types.token import Features, Mask, Tokens
from ssl_platform.types.view import Batch, Geometry, PartBatch, View, Views

__all__ = [
    "Batch",
    "Channel",
    "Features",
    "Geometry",
    "Layout",
    "Loss",
    "Mask",
    "Metric",
    "Part",
    "PartBatch",
    "Result",
    "Row",
    "Sample",
    "Scalar",
    "Step",
    "Tokens",
    "View",
    "Views",
    "Window",
]
