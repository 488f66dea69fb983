"""A model for a task: an encoder with a head, and its files.

model.safetensors   weights of encoder and head, the record inside
model.json          the record: how to build it, what it predicts, what its input must be
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssl_platform.encoder import build_backbone
from ssl_platform.encoder_record import EncoderRecord
from ssl_platform.errors import ConfigError, EncoderError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.dense.build import build_decoder
from ssl_platform.nn.dense.layers import DenseDecoder
from ssl_platform.nn.dense.maps import source_of
from ssl_platform.nn.lora import merged_state
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.point_decoder import PointDecoder
from ssl_platform.transfer.task import Task
from ssl_platform.types import View
from ssl_platform.weights import fill, read_weights, reading_record, write_weights

WEIGHTS, RECORD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ModelRecord:
    """What `model.json` holds.

    Attributes:
        encoder: how its encoder is built, what its input must be, and where the weights began.
        task: what is predicted.
        values: for segmentation, the mask value of each class.
        width: of the segmentation decoder.
        mode: what was trained: `full`, `frozen`, `lora` or `bitfit`; the weights are plain whichever it was.
        step: optimiser steps done.
        training: salt and hashes of the items trained on.
        decoder: of segmentation, by name; empty where there is none to name.
    """

    encoder: EncoderRecord
    task: Task
    values: tuple[int, ...] = ()
    width: int = 16
    mode: str = "full"
    step: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)
    decoder: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "domain": self.encoder.domain,
            "task": {**asdict(self.task), "classes": list(self.task.classes)},
            "values": list(self.values),
            "width": self.width,
            "mode": self.mode,
            "step": self.step,
            "encoder": self.encoder.as_dict(),
            "training": dict(self.training),
            "decoder": self.decoder,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelRecord:
        """The inverse of `as_dict`; keys this release does not know are left alone.

        Raises:
            EncoderError: it is from a newer format or incomplete.
        """
        with reading_record(data):
            task = {k: v for k, v in data["task"].items() if k in Task.__dataclass_fields__}
            return cls(
                encoder=EncoderRecord.from_dict(data["encoder"]),
                task=Task(**{**task, "classes": tuple(task["classes"])}),
                values=tuple(int(v) for v in data["values"]),
                width=int(data["width"]),
                mode=data["mode"],
                step=int(data["step"]),
                training=data.get("training", {}),
                decoder=data.get("decoder", ""),
            )


class TransferModel(nn.Module):
    """An encoder with the head of a task.

    Args:
        backbone: the encoder.
        task: what is predicted.
        width: of the segmentation decoder.
        frozen: whether the encoder stays as it is: no gradient, always in evaluation mode.
        decoder: of segmentation (`finetune.decoder`).

    Attributes:
        shift, scale: `[1]`, what turns a regression head's output into the target's unit.
        still: whether the encoder's running statistics stay as they are while it is trained.

    Raises:
        ConfigError: segmentation with a backbone that has no maps, no tokens for point sets, or not what the decoder
            needs.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, backbone: Backbone, task: Task, width: int = 16, frozen: bool = False, decoder: str = "auto"
    ) -> None:
        super().__init__()
        self.backbone, self.task, self.frozen, self.still = backbone, task, frozen, False
        self.dense = task.kind == "segmentation"
        self.head: LinearHead | DenseDecoder | PointDecoder
        if self.dense:
            self.head = _decoder(backbone, task.outputs, width, decoder)
        else:
            self.head = LinearHead(backbone.embed_dim, task.outputs)
        self.register_buffer("shift", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))
        if frozen:
            backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> TransferModel:
        """Training mode for what is trained."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        elif self.still:
            for module in self.backbone.modules():
                if getattr(module, "running_mean", None) is not None:
                    module.eval()
        return self

    @property
    def decoder(self) -> str:
        """Name of the decoder; empty where there is none to name."""
        return self.head.name if isinstance(self.head, DenseDecoder) else ""

    @property
    def fitted(self) -> bool:
        """Whether the head starts at a fitted probe, and so predicts before any step."""
        return isinstance(self.head, LinearHead) and self.head.ready

    @torch.no_grad()
    def begin(self, view: View) -> None:
        """Look at a first batch: a linear head that starts at random standardises its features by it."""
        if isinstance(self.head, LinearHead) and not self.fitted:
            self.head.standardise(self.backbone(view))

    def forward(self, view: View) -> Tensor:
        """`[B, K]` logits (values in the target's unit for regression), or `[B, K, *size]` (`[B, K, N]`) logits."""
        taps = {"taps": self.head.taps} if isinstance(self.head, DenseDecoder) and self.head.taps else {}
        if self.frozen:
            with torch.no_grad():
                features = self.backbone(view, **taps)
        else:
            features = self.backbone(view, **taps)
        if isinstance(self.head, DenseDecoder):
            dense: Tensor = self.head(features, self.backbone.normalise(view).x)
            return dense
        if isinstance(self.head, PointDecoder):
            points: Tensor = self.head(features, self.backbone.normalise(view))
            return points
        found: Tensor = self.head(features)
        return found.float() * self.scale + self.shift if self.task.kind == "regression" else found


def _decoder(backbone: Backbone, outputs: int, width: int, name: str) -> DenseDecoder | PointDecoder:
    """The segmentation head of a backbone, for views like those it was built for."""
    spec = backbone.spec
    if spec is None:
        raise ConfigError("segmentation needs an encoder that was built by name")
    if spec.layout.points:
        if name != "auto":
            raise ConfigError(f"finetune.decoder={name}: point sets have a decoder of their own; leave it out")
        if "tokens" not in backbone.offers:
            raise ConfigError(f"--task segmentation: needs tokens to predict points from; {spec.name} has none")
        return PointDecoder(spec.layout.rank, len(spec.channels), backbone.embed_dim, outputs, width)
    view = View(
        x=torch.zeros(1, len(spec.channels), *spec.size),
        channels=spec.channels,
        spacing=torch.ones(1, spec.layout.rank),
    )
    mode = backbone.training
    try:
        source = source_of(backbone.eval().to("cpu"), view)
    except ValueError as error:
        raise ConfigError(f"--task segmentation: {error}; {spec.name} has neither") from error
    finally:
        backbone.train(mode)
    try:
        return build_decoder(name, source, outputs, width)
    except ValueError as error:
        raise ConfigError(f"finetune.decoder={name}: {error}") from error


def write_model(folder: Path, model: TransferModel, record: ModelRecord) -> Path:
    """Write both files, each atomically, adapters merged into the weights; return the path of the weights."""
    return write_weights(folder / WEIGHTS, folder / RECORD, merged_state(model), record.as_dict())


def load_model(path_or_run: str | Path) -> tuple[TransferModel, ModelRecord]:
    """The model of a run of `finetune` or of its `model.safetensors`, in evaluation mode.

    Raises:
        EncoderError: missing, truncated, from a newer release, or its weights do not fit its record.
    """
    path = Path(path_or_run).expanduser()
    if path.is_dir():
        path = path / WEIGHTS
        if not path.exists():
            folds = sorted(found.parent.name for found in path.parent.glob(f"fold*/{WEIGHTS}"))
            fix = f"give one of its folds, e.g. {path.parent / folds[0]}" if folds else "give a run of finetune"
            raise EncoderError(f"--model {path.parent}: no {WEIGHTS} in this folder; {fix}")
    if not path.exists():
        raise EncoderError(f"--model {path}: no such run folder or model file")
    tensors, text = read_weights(path, "a model file")
    try:
        record = ModelRecord.from_dict(json.loads(text or "{}"))
    except (EncoderError, ValueError) as error:
        raise EncoderError(f"--model {path}: not a model of finetune: {error}") from error
    backbone = build_backbone(record.encoder.backbone)
    model = TransferModel(backbone, record.task, record.width, decoder=record.decoder or "auto")
    fill(model, tensors, f"--model {path}: weights do not fit their record")
    return model.eval(), record
