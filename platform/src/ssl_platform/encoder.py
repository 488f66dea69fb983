"""Encoder files: a run's result as two files that load without the trainer, in every later release.

encoder.safetensors   weights, `encoder.*` and `part.<name>.*`, normalisation inside
encoder.json          how to build it, what its input must be, where it came from
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_platform.encoder_record import EncoderRecord, salted
from ssl_platform.errors import EncoderError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build_with
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.plugins import registry
from ssl_platform.types import Features, View
from ssl_platform.weights import fill, read_weights, write_weights

WEIGHTS, RECORD = "encoder.safetensors", "encoder.json"


def write(
    folder: Path, encoder: nn.Module, record: EncoderRecord, parts: Mapping[str, nn.Module] | None = None
) -> Path:
    """Write both files, each atomically; the weights carry the record too, so a reader never sees a mixture.

    Args:
        folder: where.
        encoder: the backbone to write.
        record: what is said about it; its `parts` are set from `parts`.
        parts: further modules.

    Returns:
        Path of the weights.
    """
    parts = parts or {}
    tensors = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    for name, module in parts.items():
        tensors |= {f"part.{name}.{k}": v for k, v in module.state_dict().items()}
    about = {**record.as_dict(), "parts": sorted(parts)}
    return write_weights(folder / WEIGHTS, folder / RECORD, tensors, about)


class Encoder:
    """A loaded encoder.

    Attributes:
        model: the backbone, in evaluation mode.
        record: where it came from and what it takes.
        path: the file it was read from, None for random weights.
    """

    def __init__(self, model: Backbone, record: EncoderRecord, path: Path | None = None) -> None:
        self.model, self.record, self.path = model.eval(), record, path

    def to(self, device: torch.device | str) -> Encoder:
        """Move the model."""
        self.model.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        found = next((t for t in (*self.model.parameters(), *self.model.buffers())), None)
        return found.device if found is not None else torch.device("cpu")

    def preprocess(
        self,
        array: np.ndarray | Tensor,
        *,
        spacing: Sequence[float] | None = None,
        channels: Sequence[str] | None = None,
        size: Sequence[int] | None = None,
    ) -> View:
        """A single item as the encoder takes it: resampled to its spacing, cut or padded around the centre.

        Args:
            array: `[C, *shape]`, or `[*shape]` for one channel, in the units and orientation of `record.contract`;
                `[N, C]` for point sets. NaN counts as invalid.
            spacing: physical size of a cell along each axis; needed where the contract has one.
            channels: names of the channels; None when they are the encoder's.
            size: cells along each axis of the result; None for the contract's.

        Returns:
            A View of one sample.

        Raises:
            EncoderError: rank, channels or spacing do not fit.
        """
        return self.record.contract.view_of(array, spacing=spacing, channels=channels, size=size)

    @torch.no_grad()
    def __call__(self, x: View | Tensor, taps: Sequence[str] = ()) -> Features:
        """Features of a view, or of a tensor `[B, C, *size]` that already keeps the contract."""
        view = x if isinstance(x, View) else self.record.contract.batch_view(x)
        device = self.device

        def move(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        moved = view.replace(
            x=view.x.to(device),
            valid=move(view.valid),
            channel_valid=move(view.channel_valid),
            spacing=move(view.spacing),
        )
        features: Features = self.model(moved, taps=taps)
        return features

    def trained_on(self, fingerprints: Iterable[str]) -> int | None:
        """How many items were in pretraining, by content; None when unknown."""
        training = self.record.training
        if not training.get("items"):
            return None
        known = set(training["items"])
        return sum(salted(training["salt"], f) in known for f in fingerprints)


def locate(path_or_run: str | Path) -> Path:
    """The weights file of `FILE`, `RUN`, `RUN@STEP` or a checkpoint folder.

    Raises:
        EncoderError: there is none; the message names what was found.
    """
    text = str(path_or_run)
    path = Path(text).expanduser()
    if not path.exists() and "@" in text:
        run, _, step = text.rpartition("@")
        return _of_step(Path(run).expanduser(), step)
    if path.is_dir():
        found = path / WEIGHTS
        if not found.exists():
            raise EncoderError(f"{path}: no {WEIGHTS} in this folder yet; a run writes it at its first checkpoint")
        return found
    if not path.exists():
        raise EncoderError(f"{path}: no such run folder or encoder file")
    return path


def _of_step(run: Path, step: str) -> Path:
    folder = run / "checkpoints"
    steps = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
    if not step.isdigit() or int(step) not in steps:
        kept = ", ".join(str(s) for s in steps) or "none"
        raise EncoderError(f"{run}@{step}: no checkpoint of that step; kept are: {kept} (trainer.keep)")
    return folder / f"{int(step):08d}" / WEIGHTS


def read(path_or_run: str | Path) -> tuple[dict[str, Tensor], EncoderRecord, Path]:
    """Tensors and record of an encoder file.

    Raises:
        EncoderError: missing, truncated or from a newer release.
    """
    path = locate(path_or_run)
    tensors, text = read_weights(path, "an encoder file")
    if text is None:
        raise EncoderError(f"{path}: a safetensors file, but not written by ssl-platform")
    try:
        return tensors, EncoderRecord.from_dict(json.loads(text)), path
    except (EncoderError, ValueError) as error:
        raise EncoderError(f"{path}: {error}") from error


def build_backbone(spec: BackboneSpec) -> Backbone:
    """The backbone of a record, of the core's or of a plugin's, with random weights.

    Raises:
        PluginError: nobody here offers it.
        ConfigError: a setting it does not have.
    """
    known = registry()
    declared = known.backbone(spec.name)
    preset = dict(declared.preset)
    if declared.prefix is not None:
        preset["model"] = spec.name.split(":", 1)[-1]
    factory: Any = known.load(declared)
    return build_with(partial(factory, **preset), spec)


def load_encoder(
    path_or_run: str | Path, *, domain: str | None = None, build: Callable[[BackboneSpec], Backbone] | None = None
) -> Encoder:
    """Load an encoder from a file, a run folder or `RUN@STEP`.

    Args:
        path_or_run: where.
        domain: the domain of the input it will get; a different one is refused.
        build: how to build the backbone from its record; None for the registered backbones.

    Raises:
        EncoderError: missing, truncated, of another domain, or its weights do not fit its record.
    """
    tensors, record, path = read(path_or_run)
    if domain is not None and domain != record.domain:
        raise EncoderError(f"{path}: trained on domain {record.domain!r}, the data is {domain!r}")
    model = (build or build_backbone)(record.backbone)
    own = {name.removeprefix("encoder."): v for name, v in tensors.items() if name.startswith("encoder.")}
    fill(model, own, f"{path}: weights do not fit the backbone {record.backbone.name!r}")
    return Encoder(model, record, path)


def load_part(path_or_run: str | Path, name: str, module: nn.Module) -> nn.Module:
    """Load a stored part (`decoder`) into a module built for it.

    Raises:
        EncoderError: the file has no such part, or it does not fit.
    """
    tensors, record, path = read(path_or_run)
    prefix = f"part.{name}."
    own = {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
    if not own:
        raise EncoderError(f"{path}: has no part {name!r}; it has {', '.join(record.parts) or 'none'}")
    fill(module, own, f"{path}: part {name!r} does not fit")
    return module
