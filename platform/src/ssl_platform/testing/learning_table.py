"""The table of what every objective learns, kept from measurement to measurement."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from ssl_platform.objectives.load import load_objective
from ssl_platform.plugins import missing, registry
from ssl_platform.testing.learning import BACKBONE, SETUPS, learn

RANDOM = "random weights"


@dataclass(frozen=True)
class Trial:
    """How an objective is tried where the setup's defaults do not suit it.

    Attributes:
        settings: dotted keys of the method.
        steps: None for the setup's.
        control: dotted keys that take its mechanism away; empty for random weights.
        removed: what they take away, in words.
        seeds: more than one where the gap is small.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    control: Mapping[str, Any] = field(default_factory=dict)
    removed: str = RANDOM
    seeds: int = 1


TRIALS: Mapping[str, Trial] = {
    "byol": Trial(control={"objective.predictor": False}, removed="predictor"),
    "colorization": Trial(steps=450),
    "context-prediction": Trial(
        {"views.global_size": 64, "objective.gap": 0.0, "objective.pairs": 4, "objective.colour": "keep"}, 900
    ),
    "cpc": Trial({"objective.overlap": 0.0, "objective.first": 1}),
    "data2vec2": Trial(steps=450),
    "instdisc": Trial(steps=1000),
    "latent-mim": Trial({"objective.mask_ratio": 0.6}),
    "local-mim": Trial(steps=450),
    "mfm": Trial(
        {"objective.radius": 48},
        control={"objective.radius": 0.1, "objective.low_pass": 0.0},
        removed="frequencies to restore but the mean",
    ),
    "relational-reasoning": Trial(steps=450),
    "v-jepa": Trial({"objective.blocks": [3, 1], "objective.scales": [0.15, 0.5]}),
    "vq-kd": Trial({"objective.target": "pixels"}),
}


ON_ONE_SET: Mapping[tuple[str, str], Trial] = {
    ("local-mim", "multispectral"): Trial(steps=300),
    ("macrl", "multispectral"): Trial(steps=650),
    ("relational-reasoning", "multispectral"): Trial({"objective.augmentations": 2, "optim.lr": 1.4e-3}, 500),
    ("simsiam", "multispectral"): Trial(control={"objective.stop_gradient": False}, removed="stop-gradient"),
    ("w-mse", "multispectral"): Trial(control={"objective.shrinkage": 0.999}, removed="whitening"),
}
"""Trials that differ from an objective's usual one: seven channels cost more than three, so that steps are fewer.

relational-reasoning relates fewer views of a sample, at a higher rate, for within a minute its usual trial ended lower.
"""


def trial_of(objective: str, data: str) -> Trial:
    """How an objective is tried on a sample set."""
    return ON_ONE_SET.get((objective, data)) or TRIALS.get(objective, Trial())


@dataclass(frozen=True)
class Row:
    """One objective on one sample set.

    Attributes:
        objective, data: names.
        unfit: what the domain lacks; empty where it was measured.
        accuracy, control: balanced accuracies, means over seeds.
        removed: what the control lacks.
        seeds, steps: how many.
        seconds: of processor time, of one arm.
        key: hash of all that decides the row.
    """

    objective: str
    data: str
    key: str
    unfit: str = ""
    accuracy: float = 0.0
    control: float = 0.0
    removed: str = RANDOM
    seeds: int = 1
    steps: int = 0
    seconds: float = 0.0

    @property
    def threshold(self) -> float:
        """The least a later measurement may find: half of the gain."""
        return (self.accuracy + self.control) / 2

    @property
    def better(self) -> bool:
        """Whether the method beats its control."""
        return self.accuracy > self.control

    def line(self) -> str:
        """For the terminal."""
        if self.unfit:
            return f"{self.objective} on {self.data}: unfit ({self.unfit})"
        word = "beats" if self.better else "DOES NOT BEAT"
        return (
            f"{self.objective} on {self.data}: {self.accuracy:.3f} {word} {self.control:.3f} ({self.removed}), "
            f"{self.steps} steps, {self.seconds:.0f} s"
        )


def key_of(objective: str, data: str) -> str:
    """Hash of the objective's module, the losses and objectives it imports, the trial and the setup."""
    seen: dict[str, str] = {}
    _sources(load_objective(objective).__module__, seen)
    decided = {"files": seen, "trial": asdict(trial_of(objective, data)), "setup": asdict(SETUPS[data])}
    text = json.dumps({**decided, "backbone": BACKBONE}, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sources(module: str, seen: dict[str, str]) -> None:
    if module in seen:
        return
    text = inspect.getsource(import_module(module))
    seen[module] = hashlib.sha256(text.encode()).hexdigest()
    for name in re.findall(r"^from (ssl_platform\.(?:losses|objectives)\.[\w.]+) import", text, re.MULTILINE):
        _sources(name, seen)


def measured(objective: str, data: str) -> Row:
    """Train method and control, and probe both."""
    setup, trial = SETUPS[data], trial_of(objective, data)
    key = key_of(objective, data)
    known = registry()
    domain = known.domain(setup.domain)
    if gaps := missing(known.objective(objective).needs, domain, known.backbone(domain.default_backbone)):
        return Row(objective, data, key, unfit=", ".join(gaps))
    steps = trial.steps or setup.steps_of(load_objective(objective).family)
    found = [learn(objective, setup, seed, trial.settings, steps) for seed in range(trial.seeds)]
    controls = [one.random for one in found]
    if trial.control:
        without = {**trial.settings, **trial.control}
        controls = [learn(objective, setup, seed, without, steps).accuracy for seed in range(trial.seeds)]
    return Row(
        objective,
        data,
        key,
        accuracy=round(sum(one.accuracy for one in found) / len(found), 4),
        control=round(sum(controls) / len(controls), 4),
        removed=trial.removed,
        seeds=trial.seeds,
        steps=steps,
        seconds=round(found[0].seconds, 1),
    )


class Table:
    """Rows by objective and sample set."""

    def __init__(self, rows: Mapping[tuple[str, str], Row] | None = None) -> None:
        self.rows: dict[tuple[str, str], Row] = dict(rows or {})

    @staticmethod
    def read(path: Path) -> Table:
        """The stored table, or an empty one."""
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return Table({(row["objective"], row["data"]): Row(**row) for row in stored})

    def current(self, objective: str, data: str) -> bool:
        """Whether a row is there and nothing that decides it has changed."""
        row = self.rows.get((objective, data))
        return row is not None and row.key == key_of(objective, data)

    def put(self, row: Row) -> None:
        """Add or replace a row."""
        self.rows[row.objective, row.data] = row

    def write(self, path: Path) -> None:
        """Store it, sorted."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [asdict(self.rows[at]) for at in sorted(self.rows)]
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def page(table: Table) -> str:
    """The table as Markdown: an objective a row, method and control by sample set."""
    data = list(SETUPS)
    lines = [
        "| objective | " + " | ".join(f"{name} | control | seconds" for name in data) + " |",
        "|---" * (1 + 3 * len(data)) + "|",
    ]
    for objective in sorted({name for name, _ in table.rows}):
        rows = [table.rows.get((objective, name)) for name in data]
        cells = [f"`{objective}`"]
        for row in rows:
            if row is None:
                cells += ["-", "-", "-"]
            elif row.unfit:
                cells += ["unfit", "-", "-"]
            else:
                bold = "**" if row.better else ""
                lacks = f" (no {row.removed})" if row.removed != RANDOM else ""
                cells += [f"{bold}{row.accuracy:.3f}{bold}", f"{row.control:.3f}{lacks}", f"{row.seconds:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
