"""What happens around the steps: logging, looks, checkpoints, whole-set passes, signals, and stopping."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ssl_platform.distributed import all_max, broadcast, rank, world
from ssl_platform.errors import RunFailed
from ssl_platform.schedules import resolve_duration
from ssl_platform.train import resume
from ssl_platform.train.diagnosis import first_not_finite
from ssl_platform.train.health import Look, LossTrail, Verdict, judge
from ssl_platform.train.module import PretrainModule, StepReport
from ssl_platform.train.monitor import Monitor
from ssl_platform.train.progress import Clock, Progress, duration
from ssl_platform.train.record import Recorder
from ssl_platform.train.signals import Signals

SKIPPED = 3
"""Steps in a row that may be skipped because something was not finite."""

SaveState = Callable[[int, dict[str, Any]], None]
Bank = Callable[[PretrainModule], tuple[Tensor, Tensor]]


@dataclass
class LoopSettings:
    """What the loop needs to know.

    Attributes:
        checkpoint_every, health_every: steps.
        health_stop: whether a collapsed run is stopped.
        trivial: loss of a model that has learnt nothing, or None.
        family: of the objective.
        refresh_every: steps between whole-set passes, 0 for none.
        refresh_at_start: whether one runs before the first step.
        item_ids: index to item id, for messages.
    """

    checkpoint_every: int
    health_every: int
    health_stop: bool = False
    trivial: float | None = None
    family: str = ""
    refresh_every: int = 0
    refresh_at_start: bool = True
    item_ids: Callable[[list[int]], list[str]] = field(default=lambda index: [str(i) for i in index])


def refresh_steps(every: str, total: int, epoch_steps: int) -> int:
    """Steps between whole-set passes, at least one."""
    return max(1, resolve_duration(every, total, epoch_steps))


class RunLoop(Callback):
    """Lightning calls it between steps.

    Args:
        settings: intervals and limits.
        recorder: writes rows.
        clock: times steps.
        progress: shows them.
        save: writes a checkpoint of the given state after the given step; called on the first rank.
        monitor: looks at the run; None without health (and on other ranks).
        signals: asked between steps.
        say: tells the user a line.
        bank: embeds the whole set, for objectives with a refresh.
        state: of the checkpoint to go on from, or None.
        random_state: the backbone's random weights, where it starts from others: they are what "untrained" means.
        substitutes: those of all ranks so far; a collective.
    """

    def __init__(
        self,
        settings: LoopSettings,
        recorder: Recorder,
        clock: Clock,
        progress: Progress,
        save: SaveState,
        *,
        monitor: Callable[[Trainer], Monitor] | None = None,
        signals: Signals | None = None,
        say: Callable[[str], None] = print,
        bank: Bank | None = None,
        state: Mapping[str, Any] | None = None,
        random_state: Mapping[str, Tensor] | None = None,
        substitutes: Callable[[], list[list[Any]]] = list,
        on_look: Callable[[Look, Verdict], None] = lambda look, verdict: None,
        on_first_step: Callable[[PretrainModule], None] = lambda module: None,
    ) -> None:
        self.settings, self.recorder, self.clock, self.progress, self.save = settings, recorder, clock, progress, save
        self.signals, self.say, self.bank, self.state = signals or Signals(), say, bank, state
        self.make_monitor, self.substitutes, self.random_state = monitor, substitutes, random_state
        self.on_look, self.on_first_step = on_look, on_first_step
        self.monitor: Monitor | None = None
        self.untrained: Look | None = None
        self.verdict = Verdict("undetermined", "no look yet")
        self.stopped_by = ""
        self.saved_step = -1
        self.seconds_before = 0.0
        self._report: StepReport | None = None
        self._first_looked = False
        self._began = 0

    # ----------------------------------------------------------------------------------------------------- the start
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put a checkpoint back, or look at the untrained network."""
        module = _ours(pl_module)
        module.reports = self._take
        module.on_skip = lambda in_a_row: self._skipped(module, in_a_row)
        self.monitor = self.make_monitor(trainer) if self.make_monitor is not None else None
        if self.state is not None:
            self._restore(trainer, module, self.state)
        elif self.monitor is not None:
            self.untrained = self._look_untrained(module)
        if self.bank is not None and self.settings.refresh_at_start and self.state is None:
            self._refresh(module)
        self.signals.install()
        self.signals.training = True
        self._began = module.steps_done
        self.clock.mark(module.steps_done)

    def _restore(self, trainer: Trainer, module: PretrainModule, state: Mapping[str, Any]) -> None:
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        resume.restore(state, module.backbone, module.objective, trainer.optimizers[0], scaler)
        module.steps_done = self.saved_step = int(state["step"])
        module.skipped_in_a_row = int(state["skipped_in_a_row"])
        health = state["health"]
        self.recorder.trail = LossTrail.load(health["trail"])
        self.recorder.first, self.recorder.last = health["first"], health["last"]
        self.untrained = Look(**health["untrained"]) if health["untrained"] else None
        self._first_looked = bool(health["looked"])
        self.seconds_before = float(health["seconds"])

    # ------------------------------------------------------------------------------------------------- between steps
    def _take(self, report: StepReport) -> None:
        self._report = report

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *unused: Any) -> None:
        """After every micro-batch; acts when it ended a step."""
        if self._report is None:
            return
        module, report = _ours(pl_module), self._report
        self._report = None
        self.clock.mark(report.step)
        self.recorder.add(report, lambda step, loss: self.progress.step(step, loss, self.clock.pace()))
        began = time.monotonic()
        last = report.step >= module.total
        if report.step == self._began + 2 or (last and report.step == self._began + 1):
            self.on_first_step(module)
        if self._due(report.step, self.settings.refresh_every) and self.bank is not None and not last:
            self._refresh(module)
        if self._looks_now(report.step) or last:
            self._look(module, report)
        stop = self._stop_wanted(trainer, report.step)
        if self._due(report.step, self.settings.checkpoint_every) or last or stop:
            self.checkpoint(trainer, module)
        self.clock.pause(time.monotonic() - began)
        if stop:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A signal no longer has a step to wait for."""
        self.signals.training = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """A signal no longer has a step to wait for."""
        self.signals.training = False

    @staticmethod
    def _due(step: int, every: int) -> bool:
        return every > 0 and step % every == 0

    @property
    def seconds(self) -> float:
        """Of training, earlier stretches included."""
        return self.seconds_before + self.clock.seconds

    # --------------------------------------------------------------------------------------------------- checkpoints
    def checkpoint(self, trainer: Trainer, module: PretrainModule) -> None:
        """Save now, unless this step is saved already. A collective: every rank calls it."""
        if self.saved_step == module.steps_done:
            return
        self.recorder.flush()
        substitutes = self.substitutes()
        if rank() == 0:
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            state = resume.model_state(module.backbone, module.objective, trainer.optimizers[0], scaler)
            state["skipped_in_a_row"] = module.skipped_in_a_row
            state["substitutes"] = substitutes
            state["health"] = {
                "trail": self.recorder.trail.state(),
                "first": self.recorder.first,
                "last": self.recorder.last,
                "untrained": asdict(self.untrained) if self.untrained else None,
                "looked": self._first_looked,
                "seconds": self.seconds,
            }
            self.save(module.steps_done, state)
        self.saved_step = module.steps_done

    # -------------------------------------------------------------------------------------------------------- health
    def _looks_now(self, step: int) -> bool:
        """At the interval, and once as soon as a verdict is possible."""
        from ssl_platform.train.health import FIRST_SECONDS, FIRST_STEPS

        ready = step >= FIRST_STEPS
        if world() == 1:
            ready = ready or self.seconds >= FIRST_SECONDS
        if ready and not self._first_looked:
            self._first_looked = True
            return True
        return self._due(step, self.settings.health_every)

    def _measure(self, module: PretrainModule, step: int, watch: dict[str, Tensor] | None = None) -> Look:
        assert self.monitor is not None
        encoder = module.objective.export(module.backbone).encoder
        return self.monitor.look(
            encoder, step=step, seconds=self.seconds, losses=self.recorder.trail.recent(), watch=watch
        )

    def _look_untrained(self, module: PretrainModule) -> Look:
        """The network before its first step; with random weights even where the run starts from others."""
        if self.random_state is None:
            return self._measure(module, 0)
        assert self.monitor is not None
        now = {name: value.clone() for name, value in module.backbone.state_dict().items()}
        module.backbone.load_state_dict(dict(self.random_state))
        look = self.monitor.look(module.backbone, step=0, seconds=0.0)
        module.backbone.load_state_dict(now)
        return look

    def _look(self, module: PretrainModule, report: StepReport) -> None:
        self.recorder.flush()
        if self.monitor is None:
            return
        look = self._measure(module, report.step, report.watch)
        before = self.verdict.verdict
        self.verdict = judge(
            look, self.untrained or look, trivial=self.settings.trivial, family=self.settings.family, total=module.total
        )
        self.recorder.write({"step": report.step, **look.as_row()})
        if self.verdict.verdict != before or self.verdict.verdict == "collapsed":
            self.say(f"health at step {report.step}: {self.verdict}")
        self.on_look(look, self.verdict)

    def _skipped(self, module: PretrainModule, in_a_row: int) -> None:
        """A step was skipped because something was not finite.

        Raises:
            RunFailed: it was one too many.
        """
        step = module.steps_done
        if in_a_row <= SKIPPED:
            self.say(f"step {step}: loss or gradient is not finite, step skipped ({in_a_row} in a row)")
            return
        what = first_not_finite(module.backbone, module.objective, module.maker, module.batches)
        index = [int(i) for batch in module.batches for i in batch.index.tolist()]
        items = ", ".join(self.settings.item_ids(index)[:8])
        raise RunFailed(
            f"step {step}: not finite {in_a_row} steps in a row; first not finite: {what}; items of the batch: "
            f"{items}; lower optim.lr, raise optim.warmup, or set trainer.precision=32"
        )

    # ---------------------------------------------------------------------------------------------- whole-set passes
    def _refresh(self, module: PretrainModule) -> None:
        assert self.bank is not None
        began = time.monotonic()
        bank, index = self.bank(module)
        module.objective.refresh(module.step_now, bank, index)
        self.say(f"step {module.steps_done}: embedded {len(index)} windows in {duration(time.monotonic() - began)}")

    # ------------------------------------------------------------------------------------------------------ stopping
    def _stop_wanted(self, trainer: Trainer, step: int) -> bool:
        """Whether a signal or a collapse ends the run here; equal on all ranks."""
        collapsed = self.settings.health_stop and self.verdict.verdict == "collapsed"
        if world() > 1:
            if step % self.recorder.held:
                return False  # asking all ranks waits for the device
            device = trainer.strategy.root_device
            collapsed = bool(broadcast(torch.tensor(int(collapsed), device=device)))
            number = int(all_max(torch.tensor(self.signals.received or 0, device=device)))
            self.signals.received = number or None
        if self.signals.received is not None:
            self.stopped_by = "signal"
        elif collapsed:
            self.stopped_by = "health"
        return bool(self.stopped_by)


def _ours(module: LightningModule) -> PretrainModule:
    assert isinstance(module, PretrainModule)
    return module
