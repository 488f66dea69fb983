"""Does an objective learn? Short training on a sample set held in memory, then a linear probe on frozen features.

The sample sets have known structure: their classes cannot be told from level, histogram or place. Everything is at a
size that trains in well under a minute on one core, so that every objective can be tried.
"""

from __future__ import annotations

import functools
import io
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_platform.config.schema import RunConfig
from ssl_platform.configure import configure
from ssl_platform.data.collate import map_tensors
from ssl_platform.data.loader import Loader
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.load import load_objective
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plan import Plan, Reads
from ssl_platform.testing.fit import Fitted, fit
from ssl_platform.testing.given import random_models
from ssl_platform.train import optim_defaults
from ssl_platform.train.assemble import Model, assemble, fit_normaliser, window_of
from ssl_platform.train.scale import RunSize
from ssl_platform.transfer.layers import spread
from ssl_platform.transfer.protocols.linear import fit_linear
from ssl_platform.transfer.protocols.splits import Labelled
from ssl_platform.transfer.task import Task
from ssl_platform.types import Batch, Features

DECAY = 0.1  # weight decay of the probe


@dataclass(frozen=True)
class Setup:
    """A sample set at the size it is learnt at.

    Attributes:
        domain: whose sample set.
        windows: of each item.
        keys: dotted keys of the run.
        steps: of training, of methods that encode two views or more.
        batch: of a step.
    """

    domain: str
    windows: int
    keys: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 500
    batch: int = 32

    def steps_of(self, family: str) -> int:
        """Steps of an objective's training."""
        return self.steps * (2 if family in SINGLE_VIEW else 1)


SETUPS: Mapping[str, Setup] = {
    "wholeslide": Setup(
        "wholeslide",
        8,
        {"backbone.patch": 8, "data.window": [48, 48], "views.global_size": 32, "views.local_size": 16},
        steps=500,
    ),
    "multispectral": Setup(
        "multispectral",
        8,
        {
            "backbone.patch": 8,
            "data.window": [40, 40],
            "views.global_size": 32,
            "views.local_size": 16,
            "views.global_scale": [0.6, 1.0],
        },
        steps=500,
    ),
    "audio": Setup(
        "audio",
        8,
        {
            "backbone.patch": [16, 8],
            "data.mels": 64,
            "data.window": [64, 72],
            "views.global_size": [64, 64],
        },
        steps=350,
    ),
}
SINGLE_VIEW = ("masked", "predictive", "pretext", "paired")
"""Families of cheap steps, which make twice as many."""
BACKBONE = {"backbone.name": "vit-pico", "backbone.dim": 96, "backbone.depth": 3, "backbone.heads": 3}


def _spread(features: Features) -> Tensor:
    assert features.tokens is not None
    return spread(features.tokens, features.valid)


READOUTS: Mapping[str, Callable[[Features], Tensor]] = {"pooled": lambda features: features.pooled, "spread": _spread}
"""What the probe reads of an encoder: its own pooling, or mean and standard deviation of every feature over tokens."""


@dataclass(frozen=True)
class Learnt:
    """What came out.

    Attributes:
        accuracy: balanced accuracy of a linear probe on windows of items not trained on.
        random: the same for the backbone as it was before the first step.
        first, last: mean loss of the first and last tenth of training.
        seconds: of processor time, of training.
    """

    accuracy: float
    random: float
    first: float
    last: float
    seconds: float


@dataclass
class Prepared:
    """An objective ready for its first step.

    Attributes:
        model: backbone, objective and views.
        items: all training windows.
        setup, config, data: what they were made from.
        steps, seed: of the training to come.
        readout: what the probe reads, a key of `READOUTS`.
    """

    model: Model
    items: Batch
    setup: Setup
    config: RunConfig
    data: OpenData
    steps: int
    seed: int = 0
    readout: str = "pooled"

    def train(self, steps: int | None = None) -> Fitted:
        """Do the steps, or the first few of them."""
        epoch = max(1, len(self.items) // self.setup.batch)
        return fit(
            self.model.objective,
            self.model.backbone,
            self.data.domain.layout,
            self.batch,
            steps or self.steps,
            window=self.model.window,
            epoch_steps=epoch,
            items=self.items,
            build=False,
            maker=self.model.maker,
            optim=optim_defaults.plan_of(self.config, self.model.objective.family, self.steps, epoch),
        )

    def batch(self, number: int) -> Batch:
        """The samples of a step, at positions of their own: every epoch draws other views."""
        size = self.setup.batch
        chosen = _rows(self.items, _order(len(self.items), size, number, self.seed))
        return replace(chosen, position=number * size + torch.arange(size))

    def probe(self, backbone: Backbone) -> float:
        """Balanced accuracy of a linear probe on held-out windows."""
        return probe(backbone, self.model, self.setup, self.data, self.readout)


def prepare(
    objective: str,
    setup: Setup,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    readout: str = "pooled",
) -> Prepared:
    """Build an objective on a sample set in memory.

    Args:
        objective: its name.
        setup: on what.
        seed: of weights and draws.
        settings: further dotted keys, such as the objective's.
        steps: None for the setup's and the family's.
        readout: what the probe reads of the encoder, trained or not.
    """
    kind = load_objective(objective)
    steps = steps or setup.steps_of(kind.family)
    data = _opened(setup)
    config = _config(setup, objective, seed, settings or {})
    plan = kind.plan(kind.Config(**config.objective_settings))
    items = _windows(setup, plan.reads, plan.labels is not None)
    model = _model(setup, config, data, len(items), steps)
    fit_normaliser(model.backbone, [_windows(setup, Reads(), False)], model.maker.clean)
    torch.manual_seed(seed + 1)
    model.finish(random_models(model.plan, model.backbone))
    optim_defaults.optimiser(config, kind, setup.batch, model.backbone.embed_dim, False, steps)
    return Prepared(model, items, setup, config, data, steps, seed, readout)


def learn(
    objective: str,
    setup: Setup,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    readout: str = "pooled",
) -> Learnt:
    """Train an objective and probe it; arguments as of `prepare`."""
    made = prepare(objective, setup, seed, settings, steps, readout)
    random = made.probe(made.model.backbone)
    start = time.process_time()
    losses = made.train().losses
    seconds = time.process_time() - start
    tenth = max(1, len(losses) // 10)
    first, last = (float(np.mean(part)) for part in (losses[:tenth], losses[-tenth:]))
    encoder = made.model.objective.export(made.model.backbone).encoder
    return Learnt(made.probe(encoder), random, first, last, seconds)


@torch.no_grad()
def probe(backbone: Backbone, model: Model, setup: Setup, data: OpenData, readout: str = "pooled") -> float:
    """Balanced accuracy of a linear probe on clean views of windows, fitted on the training items."""
    backbone.eval()
    layout = data.facts.layout
    assert layout is not None
    banks = []
    for code in (1, 0):
        windows = _windows(setup, Reads(), True, train=bool(code))
        read = READOUTS[readout]
        parts = [read(backbone(model.maker.clean(_rows(windows, list(at))))) for at in _chunks(len(windows), 64)]
        assert windows.label is not None
        known = windows.label >= 0
        rows = int(known.sum())
        names = [str(i) for i in range(rows)]
        banks.append(Labelled(torch.cat(parts)[known].float(), windows.label[known], names, names))
    backbone.train()
    task = Task("classification", tuple(layout.classes))
    head = fit_linear(banks[0], task, DECAY)
    found = torch.from_numpy(head(banks[1].features)).argmax(1)
    truth = banks[1].target
    hits = [float((found[truth == k] == k).float().mean()) for k in truth.unique().tolist()]
    return float(np.mean(hits))


# ---------------------------------------------------------------------------------------------------------------- data
@functools.cache
def _opened_of(domain: str, keys: tuple[tuple[str, str], ...]) -> OpenData:
    overrides = {key: json.loads(value) for key, value in keys}
    config = configure("pretrain", domain=domain, overrides={**overrides, "data.workers": 0})
    return open_data(config, out=io.StringIO())


def _opened(setup: Setup) -> OpenData:
    keys = {k: v for k, v in setup.keys.items() if k.startswith("data.")}
    return _opened_of(setup.domain, tuple((k, json.dumps(v)) for k, v in keys.items()))


_MEMORY: dict[Any, Batch] = {}


def _windows(setup: Setup, reads: Reads, labels: bool, train: bool = True) -> Batch:
    """All windows of the training items (or of all others) in one batch, read once."""
    key = (setup.domain, setup.windows, reads, labels, train)
    if key not in _MEMORY:
        data = _opened(setup)
        codes = data.splits.codes[0]
        entries = np.flatnonzero((codes == 1) if train else (codes != 1))
        rows = np.unique(data.facts.row[entries])
        targets = data.labels_by_row(entries)
        config = _config(setup, "mae", 0, {})
        model = _model(setup, config, data, len(rows) * setup.windows, setup.steps)
        plan = Plan(views=(), reads=reads, stable=True, labels="required" if labels else None)
        count = len(rows) * setup.windows
        loader = Loader(
            data.catalog.select(rows),
            data.domain,
            plan,
            window=model.window,
            batch_size=count,
            windows_per_item=setup.windows,
            labels=None if targets is None or not labels else targets[rows],
            seed=0,
        )
        batch = next(iter(loader))
        _MEMORY[key] = _rows(batch, batch.index.argsort().tolist())
    return _MEMORY[key]


def _config(setup: Setup, objective: str, seed: int, settings: Mapping[str, Any]) -> RunConfig:
    keys = {
        **BACKBONE,
        **setup.keys,
        "seed": seed,
        "data.batch_size": setup.batch,
        "data.windows_per_item": setup.windows,
    }
    return configure(
        "pretrain", domain=setup.domain, objective=objective, overrides={**keys, "data.workers": 0, **settings}
    )


def _model(setup: Setup, config: RunConfig, data: OpenData, windows: int, steps: int) -> Model:
    window = window_of(config, data.domain, [row.shape for row in data.rows], [])

    def size(backbone: Backbone) -> RunSize:
        return RunSize(windows, setup.batch, steps, backbone.embed_dim, 3, False, data.facts.classes)

    return assemble(config, data.domain, data.catalog.channels, window, size)


def _rows(batch: Batch, at: list[int]) -> Batch:
    index = torch.tensor(at)
    return map_tensors(batch, lambda tensor: tensor[index])


def _order(count: int, batch: int, number: int, seed: int) -> list[int]:
    """Rows of a step: passes over the set, each in its own order; a pass' last incomplete batch is left out."""
    steps = max(1, count // batch)
    generator = torch.Generator().manual_seed(seed * 100_003 + number // steps)
    start = number % steps * batch
    found: list[int] = torch.randperm(count, generator=generator)[start : start + batch].tolist()
    return found


def _chunks(count: int, size: int) -> Iterator[range]:
    for start in range(0, math.ceil(count / size) * size, size):
        yield range(start, min(count, start + size))
