"""What the table of docs/results.md holds: its data, its encoders, and how each is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

ENCODERS = ("random", "supervised", "mae", "dino", "best")
"""What is measured: random weights, training from scratch with all labels, and three objectives without labels."""


@dataclass(frozen=True)
class Study:
    """One set of data and how encoders are trained and measured on it.

    Attributes:
        domain: of the data.
        best: a third objective, chosen for the domain.
        size: cells of a view along each axis: what encoders take.
        window: cells that pretraining reads; crops are cut from it.
        keys: dotted keys of every command.
        pretrain: dotted keys by objective, those of `""` for all.
        steps: of pretraining by objective.
        data: folder of `--real` that it is made from; empty for the built-in sample set.
        task: of the labels.
        encoders: what is measured.
        linear: the protocol of the linear probe.
        finetune: optimiser steps of fine-tuning with few labels.
        draws: of the few labels.
    """

    domain: str
    best: str
    size: tuple[int, ...]
    window: tuple[int, ...]
    keys: Mapping[str, Any] = field(default_factory=dict)
    pretrain: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    data: str = ""
    task: str = "classification"
    encoders: tuple[str, ...] = ENCODERS
    linear: str = "linear"
    finetune: int = 60
    draws: int = 2

    def objective(self, encoder: str) -> str:
        """Name of the objective of an encoder."""
        return self.best if encoder == "best" else encoder


SMALL = {"backbone.name": "vit-pico", "backbone.dim": 96, "backbone.depth": 3, "backbone.heads": 3}
"""The encoder of all sets: 96 wide, 3 blocks."""
SUPERVISED: Mapping[str, Any] = {"finetune.head": "random", "steps": 8}
"""Training from scratch with all labels: the head too, for eight times the steps of fine-tuning with few."""
STEPS = {"mae": 1200, "dino": 400, "best": 400}

STUDIES: Mapping[str, Study] = {
    "medical3d": Study("medical3d", "simclr", (32,) * 3, (40,) * 3, {"backbone.patch": 8}),
    "multispectral": Study(
        "multispectral",
        "simclr",
        (32, 32),
        (40, 40),
        {"backbone.patch": 8},
        {"": {"views.global_scale": [0.6, 1.0]}},
    ),
    "wholeslide": Study("wholeslide", "simclr", (48, 48), (64, 64), {"backbone.patch": 12}),
    "video": Study("video", "simclr", (8, 32, 32), (16, 48, 48), {"backbone.patch": [2, 8, 8]}),
    "audio": Study("audio", "simclr", (64, 64), (64, 96), {"backbone.patch": [16, 8], "data.mels": 64}),
    "pointcloud": Study("pointcloud", "simclr", (256,), (512,), {"backbone.patch": 32}),
    "audio fsdd": Study(
        "audio",
        "simclr",
        (64, 64),
        (64, 96),
        {
            "backbone.patch": [64, 4],
            "data.mels": 64,
            "data.level": "window",
            "probe.layers": "all",
            "probe.pooling": ["mean", "regions"],
        },
        {"": {"data.batch_size": 64}},
        {"mae": 800, "best": 600, "dino": 300},
        data="audio/fsdd",
        linear="linear-layers",
        draws=1,
    ),
    "multispectral sentinel2": Study(
        "multispectral",
        "simclr",
        (8, 8),
        (10, 10),
        {"backbone.patch": 2, "probe.layers": "all"},
        {},
        {"mae": 600, "dino": 200, "best": 400},
        data="multispectral/sentinel2",
        linear="linear-layers",
        draws=1,
    ),
    "medical3d hippocampus": Study(
        "medical3d",
        "simclr",
        (32,) * 3,
        (32,) * 3,
        {"backbone.patch": 8, "finetune.width": 8, "finetune.lr": 3e-3},
        steps={"dino": 200},
        data="medical3d/hippocampus",
        task="segmentation",
        encoders=("random", "mae", "dino"),
        finetune=150,
        draws=1,
    ),
}
"""By name: a domain, and the real set where it is not the sample set."""


@dataclass(frozen=True)
class Arm:
    """One encoder of one seed: trained, then measured in every way.

    Attributes:
        study, encoder: names.
        seed: of pretraining, random weights, label draws and fine-tuning.
        plan: the study as plain data, and the content of what it is measured on: with others it is another arm.
    """

    study: str
    encoder: str
    seed: int
    plan: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of its folder and row."""
        text = json.dumps(asdict(self), sort_keys=True, default=list)
        return f"{self.study}-{self.encoder}-{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def arms(studies: Sequence[str], seeds: int, contents: Mapping[str, str]) -> list[Arm]:
    """All arms, whole seeds after one another so that an interrupted table is complete for the first ones.

    Args:
        studies: names.
        seeds: how many.
        contents: id of the data by study.
    """
    return [
        Arm(name, encoder, seed, _decided(name, encoder, contents[name]))
        for seed in range(seeds)
        for name in studies
        for encoder in STUDIES[name].encoders
    ]


def _decided(study: str, encoder: str, content: str) -> dict[str, Any]:
    """Everything that decides an arm."""
    own = {"supervised": SUPERVISED} if encoder == "supervised" else {}
    return {**asdict(STUDIES[study]), "encoders": None, "small": SMALL, "content": content, **own}
