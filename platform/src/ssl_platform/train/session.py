"""One run from open data to its last checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ssl_platform.config.provenance import dump
from ssl_platform.config.schema import RunConfig
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.leaks import pretraining_rows
from ssl_platform.data.loader import Loader
from ssl_platform.data.reader import Substitute
from ssl_platform.data.sequential import Sequential
from ssl_platform.errors import RunFailed
from ssl_platform.opening import open_data
from ssl_platform.train import autoscale, checkpoint, head, optim_defaults, provenance
from ssl_platform.train import resume as resume_state
from ssl_platform.train.assemble import Model, assemble, fit_normaliser, views_of, window_of
from ssl_platform.train.bank import embed_set
from ssl_platform.train.devices import place
from ssl_platform.train.health import Verdict
from ssl_platform.train.initial import load_initial
from ssl_platform.train.loop import LoopSettings, RunLoop, refresh_steps
from ssl_platform.train.memory import keep_freed_memory
from ssl_platform.train.metrics import MetricsFile
from ssl_platform.train.module import PretrainModule
from ssl_platform.train.products import Products
from ssl_platform.train.progress import Clock, choose
from ssl_platform.train.record import DEVICE_ROWS, Recorder, check_tensorboard, tensorboard_writer
from ssl_platform.train.run import RunFolder
from ssl_platform.train.scale import RunSize
from ssl_platform.train.settings import make_trainer
from ssl_platform.train.signals import Signals
from ssl_platform.train.watching import Watch, gathered_substitutes

_TRAIN = 1


class Session:
    """Prepares a run and trains it.

    Args:
        config: composed; `auto` values are resolved in place.
        folder: of the run.
        signals: asked between steps.
        resume: go on from the folder's last checkpoint, if it has one.
        dry: do two steps, save nothing.
    """

    def __init__(
        self, config: RunConfig, folder: RunFolder, signals: Signals, *, resume: bool = False, dry: bool = False
    ) -> None:
        self.config, self.folder, self.signals, self.dry = config, folder, signals, dry
        self.reasons: list[str] = []
        self.verdict = Verdict("undetermined", "no look yet")
        if "tensorboard" in config.trainer.loggers:
            check_tensorboard()
        self.placement = place(config.trainer)
        self.machine = self.placement.machine
        if not self.machine.gpu:
            keep_freed_memory()
        if self.placement.note:
            self._say(self.placement.note)
        self.data = open_data(
            config,
            quarantine=None if dry or not folder.writer else folder.file("quarantine.csv"),
            out=sys.stderr if folder.writer else None,
        )
        for line in self.data.lines:
            self._say(line)
        rows, lines = pretraining_rows(
            self.data.rows, self.data.facts, self.data.splits.codes, config.data.include_test
        )
        self.train_rows, self.catalog = rows, self.data.catalog.select(rows)
        for line in lines:
            self._say(line)
        self.state = checkpoint.read_last(folder.checkpoints, self._say) if resume else None
        if self.state is not None and folder.file("catalog.parquet").exists():
            resume_state.check_same_data(Catalog.open(folder.file("catalog.parquet")), self.data.catalog)
        self._resolve()
        if self.state is not None and (told := resume_state.elsewhere(folder.environment(), self._environment())):
            self._say(told)
        self._build()

    def _say(self, line: str) -> None:
        self.folder.say(line)

    def _decided(self, lines: list[str]) -> None:
        """Print lines about automatic values and keep them for methods.txt."""
        self.reasons += lines
        for line in lines:
            self._say(line)

    def _environment(self) -> dict[str, Any]:
        """What figures and bits depend on besides the configuration."""
        device = torch.cuda.get_device_name() if self.machine.gpu else "cpu"
        return provenance.environment(device, self.config.trainer.precision, self.machine.world)

    # ------------------------------------------------------------------------------------------- what will be done
    def _resolve(self) -> None:
        """Everything that is `auto`, in the order in which one value needs another."""
        config, domain = self.config, self.data.domain
        lines: list[str] = []
        shapes = [row.shape for row in self.data.rows]
        window = window_of(config, domain, shapes, lines)
        self.windows = len(self.catalog) * config.data.windows_per_item
        lines += autoscale.batch_size(config, self.windows, window, self.machine, shapes)
        batch = int(config.data.batch_size)
        for key, (value, why) in domain.defaults(len(self.catalog), batch).items():
            if not config.given(key):
                autoscale.resolve(config, key, value, why, lines)
        lines += autoscale.steps_and_machine(config, self.windows, self.machine, views_of(config))
        lines += autoscale.intervals(config)
        self._decided(lines)
        self.base_window, self.batch, self.steps = window, batch, int(config.trainer.max_steps)
        self.epoch_steps = max(1, self.windows // batch)

    def _build(self) -> None:
        """Backbone, first layer, initial weights, objective, optimiser."""
        config, data = self.config, self.data

        def size(backbone: Any) -> RunSize:
            depth = len(getattr(backbone, "blocks", ())) or 4
            width, classes = backbone.embed_dim, data.facts.classes
            return RunSize(self.windows, self.batch, self.steps, width, depth, self.machine.gpu, classes)

        self.model: Model = assemble(config, data.domain, data.catalog.channels, self.base_window, size)
        model = self.model
        self._decided(model.lines)
        self.chunks, told = autoscale.chunks(config, model.plan, self.batch)
        for line in told:
            self._say(line)
        if self.state is None:
            seen = fit_normaliser(model.backbone, self._sequential(self.train_rows), model.maker.clean)
            self._say(f"normalisation learnt from {seen} windows, valid cells only")
        self.random_state = None
        if config.init is not None and self.state is None:
            self.random_state = {k: v.clone() for k, v in model.backbone.state_dict().items()}
            initial = load_initial(model.backbone, config.init)
            self._say(initial.line(config.init))
            for line in initial.every_name():
                self.folder.log(line)
        torch.manual_seed(config.seed + 1)
        model.finish()
        family = model.objective.family
        convnet = model.backbone.tokenizer is None
        width = model.backbone.embed_dim
        kind = type(model.objective)
        self._decided(optim_defaults.optimiser(config, kind, self.batch, width, convnet, self.steps))
        self.plan = optim_defaults.plan_of(config, family, self.steps, self.epoch_steps)

    def _sequential(self, rows: np.ndarray, batch: int = 16) -> Sequential:
        return Sequential(
            self.data.catalog,
            self.data.domain,
            window=self.model.window,
            batch_size=batch,
            rows=rows,
            workers=int(self.config.data.workers),
        )

    def _substitutes(self) -> list[Substitute]:
        """Those of the run so far, when it resumes."""
        return [Substitute(*values) for values in (self.state or {}).get("substitutes", [])]

    def _loader(self, start: int, tell: Callable[[Sequence[Substitute]], None]) -> Loader:
        config, placement = self.config, self.placement
        micro = self.batch // placement.world // (1 if self.chunks > 1 else config.data.accumulate)
        training = np.flatnonzero(self.data.splits.codes[0] == _TRAIN)
        labels = self.data.labels_by_row(training) if self.model.plan.labels else None
        return Loader(
            self.catalog,
            self.data.domain,
            self.model.plan,
            window=self.model.window,
            batch_size=micro,
            seed=config.seed,
            start=start,
            rank=placement.rank,
            world=placement.world,
            workers=int(config.data.workers),
            windows_per_item=config.data.windows_per_item,
            labels=None if labels is None else labels[self.train_rows],
            sources=config.data.sources or None,
            substitutes=self._substitutes(),
            max_bad_fraction=config.data.max_bad_fraction,
            tell=tell,
            pin=self.machine.gpu,
        )

    # ------------------------------------------------------------------------------------------------------- training
    def train(self) -> str:
        """Do the steps; return what stopped them early (`signal`, `health`) or an empty text."""
        config, model = self.config, self.model
        done = int(self.state["step"]) if self.state is not None else 0
        if done >= self.steps:
            self._say(f"all {done} steps were done before")
            return ""
        products = Products(config, self.folder, self.data, model, self.machine, self.train_rows, dry=self.dry)
        products.write_start(
            dump(config.model_copy(update={"run": None})),
            self._environment(),
            self.plan,
            self.windows,
            self.steps,
            self.reasons,
            self._substitutes(),
        )
        for line in head.lines(
            config,
            self.catalog,
            model.window,
            model.backbone,
            model.objective,
            self.machine,
            self.folder.path,
            self.data.domain.cache.folder if self.data.domain.cache and self.data.domain.prepares else None,
        ):
            self._say(line)
        last = min(self.steps, done + 2) if self.dry else self.steps
        module = PretrainModule(
            model.backbone,
            model.objective,
            model.maker,
            self.plan,
            total=last if self.dry else self.steps,
            epoch_steps=self.epoch_steps,
            batch=self.batch,
            accumulate=1 if self.chunks > 1 else config.data.accumulate,
            chunks=self.chunks,
            seed=config.seed,
            compile=config.trainer.compile,
        )
        module.steps_done = done
        loader = self._loader(done * self.batch, products.unreadable)
        loop = self._loop(module, loader, products, last, done)
        trainer = make_trainer(config.trainer, self.placement, last - done, module.accumulate, [loop], self.folder.path)
        try:
            trainer.fit(module, train_dataloaders=loader)
        except (RuntimeError, MemoryError) as error:
            if not head.is_out_of_memory(error):
                raise
            raise RunFailed(head.out_of_memory(self.batch, config.data.accumulate, error)) from error
        finally:
            loop.progress.close()
        self.verdict = loop.verdict
        if not self.dry:
            products.finish(loop)
        return loop.stopped_by

    def _loop(self, module: PretrainModule, loader: Loader, products: Products, last: int, done: int) -> RunLoop:
        config, model, plan = self.config, self.model, self.model.plan
        writes = self.folder.writer and not self.dry
        clock = Clock(self.batch, last)
        clock.waiting = lambda: loader.wait_seconds
        metrics = MetricsFile(self.folder.file("metrics.csv"), keep_until=done) if writes else None
        board = (
            tensorboard_writer(self.folder.path, done) if writes and "tensorboard" in config.trainer.loggers else None
        )
        recorder = Recorder(
            metrics,
            clock,
            every=config.trainer.log_every,
            held=DEVICE_ROWS if self.machine.gpu else 1,
            tensorboard=board,
        )
        progress = choose(last, done, self.folder.writer)
        self.folder.echo = progress.say if self.folder.writer and self.folder.echo_is_print else self.folder.echo
        settings = LoopSettings(
            checkpoint_every=int(config.trainer.checkpoint_every),
            health_every=int(config.health.every),
            health_stop=config.health.stop,
            trivial=model.objective.trivial(self.batch if self.chunks > 1 else self.batch // config.data.accumulate),
            family=model.objective.family,
            refresh_every=refresh_steps(plan.refresh.every, self.steps, self.epoch_steps) if plan.refresh else 0,
            refresh_at_start=bool(plan.refresh and plan.refresh.at_start),
            item_ids=self._ids,
        )
        watch = None
        if config.health.enabled and writes:
            watch = Watch(config, self.data, model, self.train_rows)
            if watch.line:
                self._say(watch.line)
        return RunLoop(
            settings,
            recorder,
            clock,
            progress,
            products.save if not self.dry else (lambda step, state: None),
            monitor=watch.monitor if watch is not None else None,
            signals=self.signals,
            say=self._say,
            bank=(lambda ours: embed_set(ours, self.catalog, self.data.domain, model, config))
            if plan.refresh
            else None,
            state=self.state,
            random_state=self.random_state,
            substitutes=lambda: gathered_substitutes(loader),
            on_look=products.looked,
            on_first_step=lambda ours: self._first_step(ours, clock),
        )

    def _ids(self, index: list[int]) -> list[str]:
        return [self.catalog.row(i // self.config.data.windows_per_item).id for i in index]

    def _first_step(self, module: PretrainModule, clock: Clock) -> None:
        """What one real step told."""
        speed = clock.pace().samples_per_second
        if speed:
            self._say(head.step_line(self.batch / speed, module.device, self.steps - module.steps_done))
