"""The table of what every objective learns, kept from measurement to measurement."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ssl_platform.objectives.load import load_objective
from ssl_platform.plugins import missing, registry
from ssl_platform.testing.learning import BACKBONE, SETUPS, Learnt, Setup, learn

RANDOM = "random weights"
SMALL, SEEDS = 0.03, 3
"""A gain of no more than the first, of one seed, is measured with as many seeds as the second."""


@dataclass(frozen=True)
class Trial:
    """How an objective is tried where the setup's defaults do not suit it.

    Attributes:
        settings: dotted keys of the method.
        steps: None for the setup's.
        control: dotted keys that take its mechanism away; empty for random weights.
        removed: what they take away, in words.
        readout: what the probe reads of method and control, a key of `READOUTS`.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    control: Mapping[str, Any] = field(default_factory=dict)
    removed: str = RANDOM
    readout: str = "pooled"


TRIALS: Mapping[str, Trial] = {
    "byol": Trial(control={"objective.predictor": False}, removed="predictor"),
    "colorization": Trial({"objective.hidden": 64}),
    "context-prediction": Trial(
        {"views.global_size": 64, "objective.gap": 0.0, "objective.pairs": 4, "objective.colour": "keep"}, 900
    ),
    "cpc": Trial({"objective.overlap": 0.0, "objective.first": 1}),
    "data2vec2": Trial(steps=450),
    "instdisc": Trial(steps=1000),
    "latent-mim": Trial({"objective.mask_ratio": 0.6}),
    "local-mim": Trial({"objective.decoder_dim": 64, "objective.decoder_heads": 2}, 750),
    "mfm": Trial({"objective.radius": 48, "objective.low_pass": 1.0}, readout="spread"),
    "relational-reasoning": Trial(steps=450),
    "v-jepa": Trial({"objective.blocks": [3, 1], "objective.scales": [0.15, 0.5]}),
    "vq-kd": Trial({"objective.target": "pixels"}),
}


ON_ONE_SET: Mapping[tuple[str, str], Trial] = {
    ("colorization", "multispectral"): Trial({"objective.hidden": 64}, readout="spread"),
    ("relational-reasoning", "multispectral"): Trial({"objective.augmentations": 2, "optim.lr": 1.4e-3}, 500),
    ("simmim", "multispectral"): Trial(readout="spread"),
    ("w-mse", "multispectral"): Trial(control={"objective.shrinkage": 0.999}, removed="whitening"),
}
"""Trials that differ from an objective's usual one.

relational-reasoning relates fewer views of a sample, at a higher rate, for within a minute its usual trial ended lower.
"""

STEPS: Mapping[str, Mapping[str, int]] = {
    "wholeslide": {"dinov2": 460, "ibot": 460, "macrl": 800, "vic-mae": 900, "vicregl": 400},
    "multispectral": {
        "colorization": 800,
        "context-prediction": 860,
        "cropmae": 860,
        "data2vec2": 340,
        "deepcluster-v2": 470,
        "dino": 350,
        "dinov2": 340,
        "ibot": 330,
        "iwm": 640,
        "learning-to-count": 900,
        "lejepa": 450,
        "local-mim": 600,
        "macrl": 650,
        "obow": 440,
        "v-jepa": 860,
        "vic-mae": 570,
        "vicregl": 330,
        "vq-kd": 950,
    },
    "audio": {"cpc": 300, "macrl": 500, "relational-reasoning": 270},
}
"""Steps, by sample set and objective, of arms that would take longer than a minute."""


def trial_of(objective: str, data: str) -> Trial:
    """How an objective is tried on a sample set."""
    trial = ON_ONE_SET.get((objective, data)) or TRIALS.get(objective, Trial())
    return replace(trial, steps=STEPS.get(data, {}).get(objective, trial.steps))


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

    @property
    def settled(self) -> bool:
        """Whether a small gain was measured with several seeds."""
        return bool(self.unfit) or self.seeds >= SEEDS or abs(self.accuracy - self.control) > SMALL

    def line(self) -> str:
        """For the terminal."""
        if self.unfit:
            return f"{self.objective} on {self.data}: unfit ({self.unfit})"
        word = "beats" if self.better else "DOES NOT BEAT"
        return (
            f"{self.objective} on {self.data}: {self.accuracy:.3f} {word} {self.control:.3f} ({self.removed}), "
            f"{self.seeds} seed{'s' * (self.seeds > 1)}, {self.steps} steps, {self.seconds:.0f} s"
        )


def key_of(objective: str, data: str) -> str:
    """Hash of the objective's module, the losses and objectives it imports, the trial and the setup."""
    seen: dict[str, str] = {}
    _sources(load_objective(objective).__module__, seen)
    trial = {**asdict(trial_of(objective, data)), "seeds": 1}
    if trial["readout"] == "pooled":
        del trial["readout"]  # keys of rows from before there was a choice
    decided = {"files": seen, "trial": trial, "setup": asdict(SETUPS[data])}
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
    arms = [_arms(objective, setup, trial, steps, 0)]
    if abs(arms[0][0].accuracy - arms[0][1]) <= SMALL:
        arms += [_arms(objective, setup, trial, steps, seed) for seed in range(1, SEEDS)]
    return Row(
        objective,
        data,
        key,
        accuracy=round(sum(found.accuracy for found, _ in arms) / len(arms), 4),
        control=round(sum(control for _, control in arms) / len(arms), 4),
        removed=trial.removed,
        seeds=len(arms),
        steps=steps,
        seconds=round(arms[0][0].seconds, 1),
    )


def _arms(objective: str, setup: Setup, trial: Trial, steps: int, seed: int) -> tuple[Learnt, float]:
    """The method, and its control's accuracy."""
    found = learn(objective, setup, seed, trial.settings, steps, trial.readout)
    if not trial.control:
        return found, found.random
    without = {**trial.settings, **trial.control}
    return found, learn(objective, setup, seed, without, steps, trial.readout).accuracy


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
        """Whether a row is there, of enough seeds, and nothing that decides it has changed."""
        row = self.rows.get((objective, data))
        return row is not None and row.settled and row.key == key_of(objective, data)

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
                cells += [f"{bold}{row.accuracy:.3f}{bold}", f"{row.control:.3f}{_notes(row)}", f"{row.seconds:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _notes(row: Row) -> str:
    """What is not as in most rows: the control, how many seeds, what the probe reads."""
    readout = trial_of(row.objective, row.data).readout
    notes = [
        f"no {row.removed}" if row.removed != RANDOM else "",
        f"{row.seeds} seeds" if row.seeds > 1 else "",
        readout if readout != "pooled" else "",
    ]
    said = ", ".join(note for note in notes if note)
    return f" ({said})" if said else ""
