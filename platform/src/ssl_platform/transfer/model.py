"""A model for a task: an encoder with a head, and its files.

model.safetensors   weights of encoder and head, the record inside
model.json          the record: how to build it, what it predicts, what its input must be
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssl_platform.data.files import replace_file
from ssl_platform.encoder import EncoderRecord, build_backbone
from ssl_platform.errors import ConfigError, EncoderError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.dense import DenseDecoder
from ssl_platform.transfer.task import Task
from ssl_platform.types import Features, View

WEIGHTS, RECORD, FORMAT = "model.safetensors", "model.json", 1


@dataclass(frozen=True)
class ModelRecord:
    """What `model.json` holds.

    Attributes:
        encoder: how its encoder is built, what its input must be, and where the weights began.
        task: what is predicted.
        values: for segmentation, the mask value of each class.
        width: of the segmentation decoder.
        mode: `full` or `frozen`.
        step: optimiser steps done.
        training: salt and hashes of the items trained on.
    """

    encoder: EncoderRecord
    task: Task
    values: tuple[int, ...] = ()
    width: int = 16
    mode: str = "full"
    step: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": FORMAT,
            "domain": self.encoder.domain,
            "task": {**asdict(self.task), "classes": list(self.task.classes)},
            "values": list(self.values),
            "width": self.width,
            "mode": self.mode,
            "step": self.step,
            "encoder": self.encoder.as_dict(),
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelRecord:
        """The inverse of `as_dict`; keys this release does not know are left alone.

        Raises:
            EncoderError: it is from a newer format or incomplete.
        """
        if data.get("format", 0) > FORMAT:
            raise EncoderError(f"written by a newer ssl-platform (format {data['format']}): upgrade to load it")
        try:
            task = {k: v for k, v in data["task"].items() if k in Task.__dataclass_fields__}
            return cls(
                encoder=EncoderRecord.from_dict(data["encoder"]),
                task=Task(**{**task, "classes": tuple(task["classes"])}),
                values=tuple(int(v) for v in data["values"]),
                width=int(data["width"]),
                mode=data["mode"],
                step=int(data["step"]),
                training=data.get("training", {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EncoderError(f"incomplete record ({error})") from error


class LinearHead(nn.Module):
    """Normalised pooled features to numbers.

    Args:
        dim: D of the pooled features.
        outputs: numbers K.
    """

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(dim, outputs)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features) -> Tensor:
        """`[B, K]`."""
        found: Tensor = self.linear(self.norm(features.pooled))
        return found


class TransferModel(nn.Module):
    """An encoder with the head of a task.

    Args:
        backbone: the encoder.
        task: what is predicted.
        width: of the segmentation decoder.
        frozen: whether the encoder stays as it is: no gradient, always in evaluation mode.

    Attributes:
        shift, scale: `[1]`, what turns a regression head's output into the target's unit.

    Raises:
        ConfigError: segmentation of point sets or with a backbone that has no maps.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone, task: Task, width: int = 16, frozen: bool = False) -> None:
        super().__init__()
        self.backbone, self.task, self.frozen = backbone, task, frozen
        self.dense = task.kind == "segmentation"
        self.head: LinearHead | DenseDecoder
        if self.dense:
            self.head = _decoder(backbone, task.outputs, width)
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
        return self

    def forward(self, view: View) -> Tensor:
        """`[B, K]` logits (values in the target's unit for regression), or `[B, K, *size]` logits."""
        if self.frozen:
            with torch.no_grad():
                features = self.backbone(view)
        else:
            features = self.backbone(view)
        if isinstance(self.head, DenseDecoder):
            dense: Tensor = self.head(features, self.backbone.normalise(view).x)
            return dense
        found: Tensor = self.head(features)
        return found.float() * self.scale + self.shift if self.task.kind == "regression" else found


def _decoder(backbone: Backbone, outputs: int, width: int) -> DenseDecoder:
    """The segmentation head of a backbone, for views like those it was built for."""
    spec = backbone.spec
    if spec is None or spec.layout.points:
        raise ConfigError("segmentation needs an encoder of grids that was built by name")
    view = View(
        x=torch.zeros(1, len(spec.channels), *spec.size),
        channels=spec.channels,
        spacing=torch.ones(1, spec.layout.rank),
    )
    mode = backbone.training
    try:
        return DenseDecoder(backbone.eval().to("cpu"), view, outputs, width)
    except ValueError as error:
        raise ConfigError(f"--task segmentation: {error}; {spec.name} has neither") from error
    finally:
        backbone.train(mode)


def write_model(folder: Path, model: TransferModel, record: ModelRecord) -> Path:
    """Write both files, each atomically; return the path of the weights."""
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    text = json.dumps(record.as_dict(), indent=2)
    with replace_file(folder / WEIGHTS) as temporary:
        save_file(plain, str(temporary), metadata={"record": text})
        _sync(temporary)
    with replace_file(folder / RECORD) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
        _sync(temporary)
    return folder / WEIGHTS


def _sync(path: Path) -> None:
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


def load_model(path_or_run: str | Path) -> tuple[TransferModel, ModelRecord]:
    """The model of a run of `finetune` or of its `model.safetensors`, in evaluation mode.

    Raises:
        EncoderError: missing, truncated, from a newer release, or its weights do not fit its record.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path_or_run).expanduser()
    if path.is_dir():
        path = path / WEIGHTS
        if not path.exists():
            raise EncoderError(f"--model {path.parent}: no {WEIGHTS} in this folder; give a run of finetune")
    if not path.exists():
        raise EncoderError(f"--model {path}: no such run folder or model file")
    try:
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get("record")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise EncoderError(f"--model {path}: truncated or not a model file ({error})") from error
    try:
        record = ModelRecord.from_dict(json.loads(text or "{}"))
    except (EncoderError, ValueError) as error:
        raise EncoderError(f"--model {path}: not a model of finetune: {error}") from error
    model = TransferModel(build_backbone(record.encoder.backbone), record.task, record.width)
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise EncoderError(f"--model {path}: weights do not fit their record ({line})") from error
    return model.eval(), record
