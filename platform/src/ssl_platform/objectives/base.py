"""The contract of an objective, and the decorator that names one.

An objective file states its paper, its typed config with the paper's defaults, its modules and its loss. It declares
what it needs and never asks which domain it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Step, Views


class ObjectiveConfig(BaseModel):
    """Base of every objective's settings: unknown keys are errors, defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


@dataclass
class Player:
    """A group of parameters with its own optimisation.

    Attributes:
        name: unique within the objective.
        parameters: trainable parameters it owns.
        lr: multiplier of the run's learning rate.
        weight_decay: multiplier of the run's weight decay.
        betas: Adam betas, or None for the run's.
        clip: gradient-norm limit, or None for the run's.
        active: whether it moves at a step.
        constant: keep the peak learning rate after the warm-up, whatever the run's schedule.
    """

    name: str
    parameters: list[nn.Parameter]
    lr: float = 1.0
    weight_decay: float = 1.0
    betas: tuple[float, float] | None = None
    clip: float | None = None
    active: Callable[[Step], bool] = field(default=lambda step: True)
    constant: bool = False


@dataclass(frozen=True)
class TrainingSet:
    """What an objective may know of the data before it is built.

    Attributes:
        windows: windows of stable identity: `View.index` lies in `[0, windows)`, which is the size of a bank.
        classes: of the labels, 0 where they are no classes or the objective reads none.
    """

    windows: int = 0
    classes: int = 0


@dataclass
class Export:
    """Which weights are the result.

    Attributes:
        encoder: the backbone to write (the EMA's or the student's).
        parts: further named modules (decoder, predictor, text tower).
    """

    encoder: Backbone
    parts: dict[str, nn.Module] = field(default_factory=dict)


class Objective(nn.Module):
    """A self-supervised objective.

    Life of a step: `before_step`, then for each micro-batch `forward`, then `after_backward`, then, only if the
    optimiser moved, `after_step`. `forward` changes no state; all state lives in buffers.

    Args:
        config: an instance of the class's `Config`.

    Attributes:
        data: what it trains on, known before `build`.
        remembers: whether it is compared with what earlier weights made (a memory, a queue), which asks for slow steps.
    """

    name: ClassVar[str] = ""
    family: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    remembers: ClassVar[bool] = False
    needs: ClassVar[Plan | Callable[[Any], Plan]]
    Config: ClassVar[type[ObjectiveConfig]] = ObjectiveConfig

    def __init__(self, config: ObjectiveConfig | None = None) -> None:
        super().__init__()
        self.config: Any = config if config is not None else self.Config()
        self.data = TrainingSet()

    @classmethod
    def plan(cls, config: ObjectiveConfig | None = None) -> Plan:
        """The needs under `config` (the defaults when None)."""
        needs = cls.needs
        return needs if isinstance(needs, Plan) else needs(config if config is not None else cls.Config())

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make modules, buffers and banks. The trainer owns `backbone`: never assign it as a submodule."""

    def players(self, backbone: Backbone) -> list[Player]:
        """Who is optimised; by default one player with everything trainable."""
        own = [p for p in self.parameters() if p.requires_grad]
        return [Player("main", [*(p for p in backbone.parameters() if p.requires_grad), *own])]

    def before_step(self, step: Step) -> None:
        """Once per optimiser step, before any forward: normalise prototypes, set temperatures."""

    def forward(self, backbone: Backbone, views: Views) -> Tensor | Loss:
        """The loss of one micro-batch."""
        raise NotImplementedError

    def after_backward(self, step: Step) -> None:
        """Gradients are ready and not yet clipped: freeze a last layer."""

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Only if the optimiser moved: EMA, clamps, queues and banks.

        Args:
            step: the step just done.
            backbone: the student after the step.
            watch: what `forward` returned in `Loss.watch`, detached, one for each micro-batch of the step.
            views: the views of those micro-batches without pixels (index, group, label, meta only).
        """

    def embedder(self, backbone: Backbone) -> Backbone:
        """Who embeds the set in whole-set passes; the student by default."""
        return backbone

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """A whole-set pass ended (only with `Plan.refresh`).

        Args:
            step: where the run is.
            bank: `[n, D]` pooled features of every slot, in index order, equal on all ranks.
            index: `[n]` their indices.
        """

    def export(self, backbone: Backbone) -> Export:
        """Which weights are the result; the student by default."""
        return Export(encoder=backbone)

    def trivial(self, batch: int) -> float | None:
        """The loss of a model that has learnt nothing, or None when there is no such number.

        Args:
            batch: samples that meet in one loss (the global micro-batch).
        """
        return None


_Class = TypeVar("_Class", bound=type[Objective])
REGISTRY: dict[str, type[Objective]] = {}


def objective(
    name: str, *, needs: Plan | Callable[[Any], Plan], family: str = "", paper: str = ""
) -> Callable[[_Class], _Class]:
    """Name an objective class and declare its needs.

    Args:
        name: what `--objective` takes.
        needs: a plan, or a function of the config.
        family: the folder it lives in; taken from the module path when empty.
        paper: authors, title, year, arXiv or DOI.
    """

    def register(cls: _Class) -> _Class:
        cls.name, cls.needs = name, needs
        cls.family = family or cls.__module__.split(".")[-2]
        cls.paper = paper or (cls.__doc__ or "").strip().splitlines()[0]
        REGISTRY[name] = cls
        return cls

    return register


def total_of(loss: Tensor | Loss) -> Loss:
    """A `Loss`, whatever form `forward` returned."""
    return loss if isinstance(loss, Loss) else Loss(total=loss)


def trainable(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """All trainable parameters of several modules, each once."""
    seen: dict[int, nn.Parameter] = {}
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad:
                seen[id(parameter)] = parameter
    return list(seen.values())
