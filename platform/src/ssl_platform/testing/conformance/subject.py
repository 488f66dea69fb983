"""A domain under test: its sample files, opened data, batches and a trained run, each made once."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.configure import configure
from ssl_platform.data.loader import Loader
from ssl_platform.data.table import Table, read_table
from ssl_platform.domain import Domain
from ssl_platform.nn.backbone import Backbone, Normaliser
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plan import Plan, Reads
from ssl_platform.plugins import DomainDeclaration, registry, resolve
from ssl_platform.testing.conformance.check import NotApplicable
from ssl_platform.testing.conformance.few import few_items
from ssl_platform.testing.conformance.gradients import STEPS
from ssl_platform.testing.given import random_models
from ssl_platform.train.assemble import Model, assemble, fit_normaliser, patch_of, window_of
from ssl_platform.train.scale import RunSize
from ssl_platform.types import Batch, Layout, View

ITEMS = 16
"""Items of the sample set that are used."""
BATCH = 8
_T = TypeVar("_T")


def quietly(command: Callable[..., _T], **words: Any) -> _T:
    """Call a command of `ssl_platform.api` without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return command(**words)


class DomainUnderTest:
    """Everything the checks of one domain share. What fails to be made is told once; later checks say what they lack.

    Args:
        name: of the domain, as `--domain` takes it.
    """

    def __init__(self, name: str) -> None:
        self.declaration: DomainDeclaration = registry().domain(name)
        self.name, self.subject = name, f"domain {name}"
        self._made: dict[str, tuple[bool, Any]] = {}
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Remove what was written."""
        self._made.clear()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    @property
    def folder(self) -> Path:
        """Where the kit writes."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="ssl-platform-check-", ignore_cleanup_errors=True)
        return Path(self._temporary.name)

    def once(self, what: str, make: Callable[[], _T]) -> _T:
        """`make()` the first time, its result afterwards.

        Raises:
            NotApplicable: it failed before.
        """
        if what not in self._made:
            try:
                self._made[what] = (True, make())
            except Exception:
                self._made[what] = (False, None)
                raise
        worked, value = self._made[what]
        if not worked:
            raise NotApplicable(f"needs {what}, which failed above")
        return cast(_T, value)

    # ------------------------------------------------------------------------------------------------ domain and data
    @cached_property
    def kind(self) -> type[Domain]:
        """The domain's class."""
        return cast(type[Domain], resolve(self.declaration.factory))

    @property
    def layout(self) -> Layout:
        """What it says of its items."""
        return self.kind.layout

    @property
    def sample(self) -> Path:
        """The manifest of its sample set, newly written."""

        def write() -> Path:
            folder = self.folder / "sample"
            folder.mkdir()
            return Path(self.kind().sample_data(folder, seed=0))

        return self.once("a sample set", write)

    @property
    def table(self) -> Table:
        """The sample set's manifest."""
        return self.once("a readable manifest", lambda: read_table(self.sample))

    @property
    def manifest(self) -> Path:
        """A manifest of at most `ITEMS` items beside the sample's own: alike many of each label, split and format."""
        return self.once("a manifest of a few items", lambda: few_items(self.table, ITEMS))

    def config(self, command: str = "pretrain", **words: Any) -> RunConfig:
        """The configuration of a command on the few items, at the smallest scale.

        Args:
            command: its name.
            words: options of the command line; `overrides` are dotted keys besides the kit's.
        """
        overrides = {**self.overrides, **words.pop("overrides", {})}
        words.setdefault("manifest", str(self.manifest))
        return configure(command, domain=self.name, overrides=overrides, **words)

    @property
    def overrides(self) -> dict[str, Any]:
        """Keys that keep everything here, small and in this process."""
        return {"cache.dir": str(self.folder / "cache"), "data.workers": 0, "data.max_bad_fraction": 0.0}

    @property
    def opened(self) -> OpenData:
        """The few items, open."""
        return self.once("the sample set opened", lambda: open_data(self.config(), out=io.StringIO()))

    @property
    def domain(self) -> Domain:
        """The domain as it reads the few items."""
        return self.opened.domain

    @property
    def window(self) -> tuple[int, ...]:
        """Cells read along each axis."""
        shapes = [row.shape for row in self.opened.rows]
        return self.once("a window", lambda: window_of(self.config(), self.domain, shapes, []))

    def loader(self, window: Sequence[int] | None = None, plan: Plan | None = None, **options: Any) -> Loader:
        """A loader of the few items; arguments as `Loader` takes them."""
        options.setdefault("batch_size", BATCH)
        return Loader(
            self.opened.catalog,
            self.domain,
            plan or Plan(views=()),
            window=window or self.window,
            max_bad_fraction=0.0,
            **options,
        )

    def batches(
        self, count: int = 2, window: Sequence[int] | None = None, reads: Reads | None = None, stable: bool = False
    ) -> list[Batch]:
        """The first training batches; the same objects for all who ask alike. All labels are served."""
        size, reads = tuple(window or self.window), reads or Reads()

        def read() -> list[Batch]:
            labels = self.opened.labels_by_row(np.arange(len(self.opened.facts.row)))
            plan = Plan(views=(), reads=reads, stable=stable, labels=None if labels is None else "required")
            source = iter(self.loader(size, plan, labels=labels))
            return [next(source) for _ in range(count)]

        return self.once(f"{count} batches of {size} related by {reads}, {stable}", read)

    # ----------------------------------------------------------------------------------------------------------- model
    def sizes(self, local: bool = False) -> list[int]:
        """Cells of a small view: about 16 tokens, less where it is local, no larger than the window."""
        if self.layout.points:
            return [min(self.window[0], 128 if local else 256)]
        patches = {1: 16, 2: 4, 3: 3}[self.layout.rank] // (2 if local else 1)
        patch = patch_of(self.config(), self.domain)
        return [min(patches * p, n // p * p or n) for p, n in zip(patch, self.window, strict=True)]

    def model(self, objective: str, **overrides: Any) -> Model:
        """Backbone, objective and views at `scale=tiny`, as a run assembles them."""
        keys = {
            "scale": "tiny",
            "data.batch_size": BATCH,
            "views.global_size": self.sizes(),
            "views.local_size": self.sizes(local=True),
            **overrides,
        }
        config = self.config(objective=objective, backbone=self.kind.default_backbone, overrides=keys)
        size = RunSize(len(self.opened.rows), BATCH, STEPS, 0, 2, False, self.opened.facts.classes)
        model = assemble(config, self.domain, self.opened.catalog.channels, self.window, lambda _: size)
        mean, std = self.statistics
        if mean is not None:
            cast(Normaliser, model.backbone.normaliser).set(mean, std)
        model.finish(random_models(model.plan, model.backbone))
        return model

    @property
    def statistics(self) -> tuple[Any, Any]:
        """Mean and deviation of each channel over the batches, or None where the backbone learns none."""

        def learn() -> tuple[Any, Any]:
            model = self._plain()
            if not fit_normaliser(model.backbone, self.batches(), model.maker.clean):
                return None, None
            return model.backbone.normaliser.mean, model.backbone.normaliser.std

        return self.once("statistics of the channels", learn)

    def _plain(self) -> Model:
        """The default objective's model with the default sizes of views."""
        size = RunSize(len(self.opened.rows), BATCH, STEPS, 0, 2, False)
        config = self.config(objective=self.kind.default_objective)
        config.resolve("data.batch_size", BATCH, "the kit")
        return assemble(config, self.domain, self.opened.catalog.channels, self.window, lambda _: size)

    @property
    def clean(self) -> View:
        """A clean view of the first batch, in the size models see."""
        return self.once("a clean view", lambda: self._plain().maker.clean(self.batches()[0]))

    @property
    def backbone(self) -> Backbone:
        """The default backbone for clean views, with statistics."""

        def build() -> Backbone:
            torch.manual_seed(0)
            backbone = self._plain().backbone
            mean, std = self.statistics
            if mean is not None:
                cast(Normaliser, backbone.normaliser).set(mean, std)
            return backbone.eval()

        return self.once("a backbone", build)

    # ------------------------------------------------------------------------------------------------------------ runs
    def call(self, command: Callable[..., _T], **words: Any) -> _T:
        """Call a command of `ssl_platform.api` on the few items, quietly."""
        words["overrides"] = {**self.overrides, **words.get("overrides", {})}
        words.setdefault("manifest", self.manifest)
        return quietly(command, **words)

    @property
    def run(self) -> Path:
        """A run folder of four steps with checkpoints at the second and the fourth."""

        def train() -> Path:
            from ssl_platform import api

            path = self.folder / "run"
            keys = {
                "scale": "tiny",
                "data.batch_size": BATCH,
                "trainer.max_steps": 4,
                "trainer.checkpoint_every": 2,
                "trainer.accelerator": "cpu",
                "health.enabled": False,
            }
            self.call(api.pretrain, domain=self.name, run=path, overrides=keys)
            return path

        return self.once("a trained run", train)
