"""What is exported: an encoder or a finetuned model, and what a format writes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ssl_platform import encoder as encoder_files
from ssl_platform.encoder_record import EncoderRecord
from ssl_platform.errors import EncoderError
from ssl_platform.nn.adapters.maps import MapBackbone
from ssl_platform.nn.backbone import Backbone
from ssl_platform.transfer.model import ModelRecord, TransferModel, load_model
from ssl_platform.transfer.portable import Portable, PortableEncoder, PortableModel, example_input
from ssl_platform.types import View

TOLERANCE = 1e-4
"""Largest difference of an output to this platform's, relative to the largest value of that output."""
_ACTIVATION = {"classification": "softmax", "segmentation": "softmax", "multi-label": "sigmoid", "regression": None}


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        portable: the net as a function of one tensor, in evaluation mode.
        record: of its encoder.
        model: the record of the model, None for an encoder.
    """

    portable: Portable
    record: EncoderRecord
    model: ModelRecord | None = None

    @property
    def kind(self) -> str:
        """`encoder` or `model`."""
        return "encoder" if self.model is None else "model"

    @property
    def backbone(self) -> Backbone:
        """The encoder's net."""
        net = self.portable.net
        return net.backbone if isinstance(net, TransferModel) else net

    def example(self) -> Tensor:
        """Two samples of plausible values, the second with a corner without data: float32, as its input is."""
        return example_input(self.record, self.backbone)

    def task(self) -> dict[str, Any]:
        """What `preprocess.json` says of a model's output; empty for encoders."""
        if self.model is None:
            return {}
        task = self.model.task
        return {
            "task": task.kind,
            "classes": list(task.classes),
            "mask_values": list(self.model.values),
            "activation": _ACTIVATION[task.kind],
        }

    def unfit(self, format: str, why: str) -> EncoderError:
        """The error for a source that a format cannot hold."""
        return EncoderError(
            f"--format {format}: this {self.kind} (backbone {self.record.backbone.name}) cannot be written so: {why}"
        )


@dataclass(frozen=True)
class Written:
    """What a format wrote into its folder, besides what every export has.

    Attributes:
        file: name of the weights.
        example: input of the stored example.
        output: what this platform gives for it, by name.
        needs: what the check script imports, as `pip install` takes it.
        usage: Python code that loads the file, for README.md.
        said: further keys of `preprocess.json`.
        notes: sentences for README.md about values outside the net.
        raw: whether input is in physical units, normalised inside.
        gaps: whether NaN in the input means a cell without data.
    """

    file: str
    example: Tensor
    output: Mapping[str, Tensor]
    needs: tuple[str, ...]
    usage: str
    said: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    raw: bool = True
    gaps: bool = True


def load_source(encoder: str | None, model: str | None) -> Source:
    """Load an encoder (run, `RUN@STEP`, file) or the model of a run of `finetune`.

    Raises:
        EncoderError: it is missing, truncated, or does not fit its record.
    """
    portable: Portable
    told: ModelRecord | None = None
    if model is not None:
        net, told = load_model(model)
        net.frozen = False  # a frozen model switches gradients off and on, which would be written too
        portable, record = PortableModel(net, told.encoder), told.encoder
    else:
        assert encoder is not None
        loaded = encoder_files.load_encoder(encoder)
        portable, record = PortableEncoder(loaded.model, loaded.record), loaded.record
    return Source(portable.eval().requires_grad_(False), record, told)


@torch.no_grad()
def output_of(source: Source, x: Tensor) -> dict[str, Tensor]:
    """What the net gives for `x`, by name."""
    found: dict[str, Tensor] = source.portable(x)
    return found


@torch.no_grad()
def maps_of(net: MapBackbone, x: Tensor) -> dict[str, Tensor]:
    """Every map of a net whose format leaves normalisation outside, by name, fine to coarse.

    Args:
        net: the encoder.
        x: `[B, C, *size]` in physical units, no cell without data.
    """
    view = View(x=x, channels=net.spec.channels if net.spec is not None else (), role="clean")
    return {f"map_{number}": found for number, found in enumerate(net.maps(net.normaliser(view)))}
