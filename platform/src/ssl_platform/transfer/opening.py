"""What every transfer command begins with: an encoder, and data prepared the way that encoder was trained on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform import encoder as encoder_files
from ssl_platform.config.schema import RunConfig
from ssl_platform.data.box import box_text
from ssl_platform.data.fraction import fewer_labels
from ssl_platform.data.leaks import pretraining_overlap
from ssl_platform.data.names import counted
from ssl_platform.data.sequential import Sequential
from ssl_platform.encoder import Encoder, build_backbone
from ssl_platform.encoder_record import EncoderRecord
from ssl_platform.errors import ConfigError, EncoderError, LabelError
from ssl_platform.input_contract import InputContract
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plan import Plan
from ssl_platform.train.assemble import fit_normaliser, patch_of, window_of
from ssl_platform.transfer.label_windows import item_of, windows_as_items
from ssl_platform.transfer.task import Task
from ssl_platform.transfer.units import check_unit
from ssl_platform.views.maker import ViewMaker

RANDOM = "random"


@dataclass
class Opened:
    """An encoder and the data it is asked about.

    Attributes:
        config: its domain and `data.*` keys are settled by the encoder.
        encoder: loaded, or with random weights.
        data: opened.
        codes: `[folds, n]` parts of the entries after `labels.fraction` or `labels.count`.
        maker: batch to clean views.
        window: cells read along each axis.
        lines: what was decided, for the user.
        unread: why an item could not be read while it was evaluated, by id: it is in no metric.
    """

    config: RunConfig
    encoder: Encoder
    data: OpenData
    codes: np.ndarray
    maker: ViewMaker
    window: tuple[int, ...]
    lines: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The downstream task.

        Raises:
            LabelError: there are no labels.
        """
        layout = self.data.facts.layout
        if layout is None:
            raise LabelError("no labels found: give --labels (a table, a folder of masks, folders, name:REGEX)")
        return Task(layout.kind, tuple(layout.classes), layout.positive, self.config.labels.ignore)

    @property
    def kind(self) -> str:
        """Kind of the labels, or `none`."""
        layout = self.data.facts.layout
        return "none" if layout is None else layout.kind

    def overlap(self) -> str:
        """How many test items were in pretraining."""
        tested = np.unique(self.data.facts.row[(self.codes == 3).any(axis=0)])
        rows = (item_of(self.data.catalog.row(int(i))) for i in tested)
        prints = list({row.id: row.fingerprint for row in rows}.values())
        seen = self.encoder.trained_on(prints)
        if self.encoder.path is None:
            return f"0 of {len(prints)} test items were in pretraining: the weights are random"
        known = None if seen is None else {p for p in prints if self.encoder.trained_on([p])}
        return pretraining_overlap(prints, known)[1]

    def left_out(self) -> list[str]:
        """A line about the items that could not be read, if there are any."""
        if not self.unread:
            return []
        item, why = next(iter(self.unread.items()))
        return [f"{counted(len(self.unread), 'item')} could not be read, left out of all metrics, e.g. {item}: {why}"]

    def about(self) -> dict[str, Any]:
        """What `result.json` of every evaluation holds: of what, on what, with which labels."""
        config, data = self.config, self.data
        return {
            "encoder": str(config.encoder),
            "parameters": sum(p.numel() for p in self.encoder.model.parameters()),
            "task": self.kind,
            "data_id": data.catalog.id,
            "split_id": data.splits.id or None,
            "labels_fraction": config.labels.fraction,
            "labels_count": config.labels.count,
            "labels_draw": config.labels.draw,
            "labels_unit": config.labels.unit,
            "seed": config.seed,
            "overlap": self.overlap(),
            "quarantined": len(data.quarantined) + len(self.unread),
        }


def open_transfer(config: RunConfig, *, quarantine: Path | None = None, labels: bool | None = True) -> Opened:
    """Load the encoder of `config.encoder` and open the data of `config`.

    Args:
        config: `encoder` is a run, a file or `random` (which needs `domain=NAME`). Settings of the data that the
            encoder was trained with are taken over unless they are given.
        quarantine: where the list of unusable items goes.
        labels: whether labels are needed; None: used where there are any of items (masks are not).

    Raises:
        UsageError: encoder, data or labels cannot be used; one line.
    """
    if config.encoder is None:
        raise ConfigError("name the encoder with --encoder RUN_OR_FILE (or random)")
    record: EncoderRecord | None = None
    if config.encoder != RANDOM:
        record = encoder_files.read(config.encoder)[1]
        follow(config, record)
    data = open_data(config, quarantine=quarantine, out=sys.stderr)
    if labels is None:
        labels = data.facts.layout is not None and data.facts.layout.kind != "segmentation"
    if labels and data.facts.layout is None:
        raise LabelError("no labels found: give --labels (a table, a folder of masks, folders, name:REGEX)")
    lines = list(data.lines)
    if labels:
        check_labels(config, data, windows=True)
        if config.labels.unit == "group":
            lines.append("labels.unit=group: the scores of a group's items are averaged, metrics count groups")
    if record is None:
        found = random_encoder(config, data, lines)
    else:
        found = encoder_files.load_encoder(str(config.encoder), domain=str(config.domain))
        row = data.catalog.row(0)
        lines += [
            f"departure: {line}" for line in record.contract.departures(channels=row.channels, spacing=row.spacing)
        ]
        if not data.domain.layout.ragged_channels and tuple(row.channels) != record.contract.channels:
            raise EncoderError(
                f"{found.path}: was trained on channels {list(record.contract.channels)}, the data has "
                f"{list(row.channels)}"
            )
    if labels:
        data, said = windows_as_items(data)
        lines += said
    codes, said = fewer_labels(data.facts, data.splits.codes, config.labels)
    lines += said
    window = tuple(found.record.backbone.size)
    return Opened(config, found, data, codes, clean_maker(config, data, window), window, lines)


def check_labels(config: RunConfig, data: OpenData, windows: bool = False) -> None:
    """Refuse labels that cannot be scored, before anything is computed.

    Args:
        config: `labels.*`.
        data: opened.
        windows: whether labels of windows of an item are scored; masks never are so.

    Raises:
        LabelError: a table gives labels to windows and only whole items are scored; or a group has two labels.
        ConfigError: `labels.unit` does not suit the task.
    """
    facts = data.facts
    if facts.layout is None:
        return
    masks = facts.layout.kind == "segmentation"
    for entry in np.flatnonzero(facts.labelled & ~facts.whole).tolist() if masks or not windows else ():
        what = "mask" if masks else "label"
        raise LabelError(
            f"{facts.id[entry]!r} has a {what} for its window {box_text(facts.window[entry])}, and here whole items "
            f"are scored: give one {what} an item, or cut the windows out as files of their own"
        )
    check_unit(config.labels.unit, facts.layout.kind, facts)


def follow(config: RunConfig, record: EncoderRecord) -> None:
    """Take over domain and data settings an encoder was trained with, where nobody asked for others.

    Raises:
        EncoderError: the encoder belongs to another domain.
    """
    if config.domain is None:
        config.resolve("domain", record.domain, "the encoder's")
    elif config.domain != record.domain:
        raise EncoderError(f"{config.encoder}: trained on domain {record.domain!r}, the data is {config.domain!r}")
    for key, value in (record.contract.options or {}).items():
        if not config.given(f"data.{key}"):
            config.resolve(f"data.{key}", value, "the encoder's")


def clean_maker(config: RunConfig, data: OpenData, window: Sequence[int]) -> ViewMaker:
    """Makes clean views of the size an encoder takes."""
    return ViewMaker(
        data.domain.layout,
        Plan.augmented(1),
        config.views,
        tuple(data.domain.views()),
        config.seed,
        window=tuple(window),
    )


def random_encoder(config: RunConfig, data: OpenData, lines: list[str]) -> Encoder:
    """The backbone of `config` with random weights and a normaliser fitted to the data."""
    shapes = [row.shape for row in data.rows]
    window = window_of(config, data.domain, shapes, lines)
    patch = patch_of(config, data.domain)
    channels = data.catalog.channels or data.catalog.row(0).channels
    settings = {k: v for k, v in config.backbone.items() if k not in ("name", "patch")}
    name = str(config.backbone.get("name") or data.domain.default_backbone)
    torch.manual_seed(config.seed)
    spec = BackboneSpec(name, data.domain.layout, tuple(channels), window, patch, settings)
    backbone = build_backbone(spec)
    maker = clean_maker(config, data, window)
    batches = Sequential(data.catalog, data.domain, window=window, batch_size=8)
    fit_normaliser(backbone, batches, maker.clean)
    layout = data.domain.layout
    spacings = {tuple(round(s, 3) for s in row.spacing) for row in data.rows}
    contract = InputContract(
        axes=layout.axes,
        channels=tuple(channels),
        spacing=next(iter(spacings)) if len(spacings) == 1 else (),
        spacing_unit=layout.unit,
        size=window,
        options=data.domain.options.model_dump(mode="json"),
    )
    record = EncoderRecord(spec, contract, str(config.domain), "random", 0, "random")
    return Encoder(backbone, record)


def untrained_like(encoder: Encoder, seed: int) -> Encoder:
    """The same architecture and normalisation with random weights: the baseline of every evaluation."""
    torch.manual_seed(seed)
    backbone = build_backbone(encoder.record.backbone)
    if isinstance(backbone.normaliser, Normaliser) and isinstance(encoder.model.normaliser, Normaliser):
        backbone.normaliser.load_state_dict(encoder.model.normaliser.state_dict())
    return Encoder(backbone, encoder.record)


def device_of(config: RunConfig) -> torch.device:
    """The device a transfer command computes on."""
    wanted = config.trainer.accelerator
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if wanted in ("gpu", "cuda"):
        raise ConfigError(f"trainer.accelerator={wanted}: no GPU is visible here; use cpu or auto")
    return torch.device("cpu")


Progress = Callable[[int, int], None]
