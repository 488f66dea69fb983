"""What a run leaves in its folder: provenance at the start, checkpoints and encoders on the way, results at the end."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform import encoder as encoder_files
from ssl_platform.config.schema import RunConfig
from ssl_platform.data.files import replace_file
from ssl_platform.data.quarantine import Quarantined, write_quarantine
from ssl_platform.data.reader import Substitute
from ssl_platform.encoder_record import EncoderRecord, training_record
from ssl_platform.input_contract import InputContract
from ssl_platform.opening import OpenData
from ssl_platform.train import checkpoint, head, provenance
from ssl_platform.train.assemble import Model
from ssl_platform.train.atomic import write_text
from ssl_platform.train.autoscale import Machine
from ssl_platform.train.health import Look, Verdict
from ssl_platform.train.loop import RunLoop
from ssl_platform.train.optim import OptimPlan
from ssl_platform.train.run import RunFolder

SAID = 10
"""Items that turn out to be unreadable during a run and are named on the screen; the rest is only listed."""


class Products:
    """Writes a run's files.

    Args:
        config: resolved.
        folder: of the run.
        data: opened.
        model: trained.
        machine: what it runs on.
        train_rows: catalog rows trained on.
        dry: write nothing.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        data: OpenData,
        model: Model,
        machine: Machine,
        train_rows: np.ndarray,
        *,
        dry: bool = False,
    ) -> None:
        self.config, self.folder, self.data, self.model, self.machine = config, folder, data, model, machine
        self.writes = folder.writer and not dry
        catalog = data.catalog
        fingerprints = [catalog.row(int(i)).fingerprint for i in train_rows]
        salt = hashlib.blake2b(f"{catalog.id} {config.seed}".encode(), digest_size=8).hexdigest()
        self.training = training_record([f for f in fingerprints if f], salt)
        self.contract = contract_of(data, model)
        self.untrained: Look | None = None
        self.replaced: dict[str, str] = {}

    def write_start(
        self,
        config_text: str,
        environment: Mapping[str, Any],
        plan: OptimPlan,
        windows: int,
        steps: int,
        reasons: Sequence[str],
        substitutes: Sequence[Substitute] = (),
    ) -> None:
        """Everything that is known before the first step.

        Args:
            config_text: resolved configuration.
            environment: from `provenance.environment`.
            plan: of the optimiser.
            windows: of the set.
            steps: of the run.
            reasons: lines about automatic values.
            substitutes: of the run so far, when it resumes.
        """
        if not self.writes:
            return
        config, folder, data, objective = self.config, self.folder, self.data, self.model.objective
        folder.write_start(config_text, environment)
        data.write(folder.path)
        self.replaced = {s.failed: s.reason for s in substitutes}
        self._list_unusable()  # those of earlier stretches too
        write_text(folder.file("CITATION.bib"), provenance.citation(objective.name, objective.paper))
        batch = int(config.data.batch_size)
        facts = {
            "domain": config.domain,
            "objective": objective.name,
            "backbone": config.backbone["name"],
            "items": len(self.training["items"]),
            "windows": windows,
            "window": "x".join(map(str, self.model.window)),
            "batch": batch,
            "steps": steps,
            "passes": steps * batch / max(1, windows),
            "optimiser": {"adamw": "AdamW", "lars": "LARS", "sgd": "SGD"}[plan.name],
            "lr": plan.lr,
            "weight_decay": plan.weight_decay,
            "precision": config.trainer.precision,
            "devices": self.machine.world,
            "parameters": head.parameters(self.model.backbone),
            "seed": config.seed,
            "paper": objective.paper,
        }
        write_text(folder.file("methods.txt"), provenance.methods(facts, reasons))
        folder.update(
            data_id=data.catalog.id,
            split_id=data.splits.id or None,
            paths={"run": str(folder.path), "metrics": str(folder.file("metrics.csv"))},
        )

    def unreadable(self, substitutes: Iterable[Substitute]) -> None:
        """List and count items that turned out to be unreadable while they were trained on, and say each once."""
        new = {s.failed: s.reason for s in substitutes if s.failed not in self.replaced}
        if not self.writes or not new:
            return
        for item, reason in new.items():
            self.replaced[item] = reason
            line = f"unreadable, other items take its place: {item}: {reason}"
            if len(self.replaced) > SAID:
                self.folder.log(line)
                continue
            self.folder.say(line)
            if len(self.replaced) == SAID:
                self.folder.say("further unreadable items are only listed, in quarantine.csv and events.log")
        self._list_unusable()

    def _list_unusable(self) -> None:
        """Write `quarantine.csv` and the count."""
        catalog = self.data.catalog
        paths = dict(zip(catalog.column("id"), catalog.column("path"), strict=True)) if self.replaced else {}
        unusable = [
            *self.data.quarantined,
            *(Quarantined(paths.get(item, item), reason) for item, reason in self.replaced.items()),
        ]
        write_quarantine(unusable, self.folder.file("quarantine.csv"))
        self.folder.update(quarantined=len(unusable))

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, and the encoder beside it and at the top of the folder."""
        if not self.writes:
            return
        self.unreadable(Substitute(*values) for values in state["substitutes"])  # those of other ranks are among them
        export = self.model.objective.export(self.model.backbone)
        record = EncoderRecord(
            backbone=_spec(self.model),
            contract=self.contract,
            domain=str(self.config.domain),
            objective=self.model.objective.name,
            step=step,
            weights="student" if export.encoder is self.model.backbone else "teacher",
            plugins=provenance.plugin_versions(),
            licence=self.config.licence,
            terms={"initial_weights": self.config.init, **({"models": given} if (given := self.config.models) else {})},
            training=self.training,
        )
        written = checkpoint.write(
            self.folder.checkpoints,
            step,
            state,
            keep=self.config.trainer.keep,
            extra=lambda folder: _write_encoder(folder, export, record),
        )
        for name in (encoder_files.WEIGHTS, encoder_files.RECORD):
            with replace_file(self.folder.file(name)) as temporary:
                shutil.copyfile(written / name, temporary)
        health = state["health"]
        self.folder.update(
            steps=step,
            loss={"first": health["first"], "last": health["last"]},
            paths={
                "encoder": str(self.folder.file(encoder_files.WEIGHTS)),
                "checkpoints": str(self.folder.checkpoints),
            },
        )

    def looked(self, look: Look, verdict: Verdict) -> None:
        """Keep what the monitor saw."""
        if not self.writes:
            return
        numbers = {
            k: v for k, v in asdict(look).items() if v is not None and k not in ("loss", "loss_before", "loss_first")
        }
        self.folder.replace(health={"verdict": verdict.verdict, "cause": verdict.cause, **numbers})
        if look.knn is not None:
            self.folder.update(metrics={self.knn_name: {"value": look.knn, "ci95": None, "ci_over": None}})

    @property
    def knn_name(self) -> str:
        """Name of the monitor's kNN score."""
        layout = self.data.facts.layout
        return "knn/correlation" if layout is not None and layout.kind == "regression" else "knn/balanced_accuracy"

    def finish(self, loop: RunLoop) -> None:
        """The last lines and numbers."""
        if not self.writes:
            return
        pace = loop.clock.pace()
        untrained = loop.untrained
        if untrained is not None:
            baseline = {k: v for k, v in asdict(untrained).items() if v is not None and k not in ("step", "seconds")}
            self.folder.update(baselines={"untrained": baseline})
            if untrained.knn is not None:
                self.folder.update(baselines={self.knn_name: {"random": untrained.knn}})
        self.folder.update(
            samples_per_second=pace.samples_per_second,
            loss={"first": loop.recorder.first, "last": loop.recorder.last},
            seconds=loop.seconds,
        )
        self.folder.say(str(loop.verdict))
        found = self.folder.result["metrics"].get(self.knn_name)
        if found is not None and untrained is not None and untrained.knn is not None:
            words = self.knn_name.split("/")[1].replace("_", " ")
            self.folder.say(f"kNN {words} {found['value']:.3f}, random initialisation {untrained.knn:.3f}")
        self.folder.say(f"encoder {self.folder.file(encoder_files.WEIGHTS)}")


def _write_encoder(folder: Path, export: Any, record: EncoderRecord) -> None:
    encoder_files.write(folder, export.encoder, record, export.parts)


def _spec(model: Model) -> Any:
    assert model.backbone.spec is not None
    return model.backbone.spec


def contract_of(data: OpenData, model: Model) -> InputContract:
    """What the encoder's input must be, from the data it is trained on."""
    layout, spec = data.domain.layout, _spec(model)
    units = {channel.name: channel.unit for channel in layout.channels}
    known = {channel.name: channel.wavelength for channel in layout.channels}
    wavelengths = tuple(known.get(name) for name in spec.channels)
    return InputContract(
        axes=layout.axes,
        channels=tuple(spec.channels),
        units=tuple(units.get(name, "") for name in spec.channels),
        spacing=_common_spacing([row.spacing for row in data.rows]),
        spacing_unit=layout.unit,
        size=tuple(spec.size),
        options=data.domain.options.model_dump(mode="json"),
        wavelengths=wavelengths if any(wavelengths) else (),
    )


def _common_spacing(spacings: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The median along each axis where all items lie within 1 % of it, else nothing."""
    if not spacings or not spacings[0] or len({len(spacing) for spacing in spacings}) > 1:
        return ()
    table = np.asarray(spacings, dtype=np.float64)
    middle = np.median(table, axis=0)
    return tuple(float(f"{m:.6g}") for m in middle) if (np.abs(table - middle) <= 0.01 * middle).all() else ()
